package org.pairlight

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What the Gradle project says and no compiler here reads. */
class ProjectTest {
    private val root = File(System.getProperty("pairlight.root"))
    private val android = File(root, "android")

    @Test
    fun `both builds use the same versions`() {
        val catalogue = File(android, "gradle/libs.versions.toml").readText()
        val pom = File(android, "pom.xml").readText()
        for (name in listOf("kotlin", "coroutines", "jna", "junit")) {
            val here = Regex("<$name.version>(.*)</").find(pom)!!.groupValues[1]
            val there = Regex("(?m)^$name = \"(.*)\"").find(catalogue)!!.groupValues[1]
            assertEquals(there, here, name)
        }
    }

    @Test
    fun `every text of the sample is in both languages, with the same places for values`() {
        fun texts(folder: String): Map<String, String> {
            val file = File(android, "sample/src/main/res/$folder/strings.xml").readText()
            return Regex("<string name=\"(.*?)\">(.*?)</string>").findAll(file).associate { it.groupValues[1] to it.groupValues[2] }
        }
        val (english, arabic) = texts("values") to texts("values-ar")
        assertEquals(english.keys, arabic.keys)
        val place = Regex("%\\d\\$[sd]")
        for ((name, text) in english) {
            val wanted = place.findAll(text).map { it.value }.toSet()
            assertEquals(wanted, place.findAll(arabic.getValue(name)).map { it.value }.toSet(), name)
        }
        // A reason without words would be an empty screen.
        for (reason in EndedReason.entries) assertTrue("ended_${reason.name.lowercase()}" in english, reason.name)
    }

    @Test
    fun `from nothing to the first link it takes fewer than 60 lines of code, in both guides`() {
        for ((guide, language) in listOf("embed-android" to "kotlin", "embed-ios" to "swift")) {
            val way = File(root, "docs/guides/$guide.md").readText().substringAfter("## The account\n").substringBefore("## Afterwards\n")
            val lines = Regex("(?s)```$language\n(.*?)```").findAll(way).flatMap { it.groupValues[1].lines() }.map(String::trim)
            val code = lines.count { line -> line.isNotEmpty() && listOf("//", "/*", "*", "import ", "package ").none(line::startsWith) }
            assertTrue(code in 1 until 60, "$guide: $code lines")
            println("lines of code to the first link, without comments and imports: $guide $code")
        }
    }
}
