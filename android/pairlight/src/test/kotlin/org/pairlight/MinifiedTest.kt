package org.pairlight

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import proguard.classfile.VersionConstants

/**
 * What a release build does to the library: everything is renamed, and what nothing seems to call is gone, but for what the consumer
 * rules name. ProGuard stands in for R8 and its optimiser is off. Only in such a build would a missing rule be seen.
 */
class MinifiedTest {
    private val jars = (System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path"))
        .split(File.pathSeparator).map(::File)

    private fun jar(name: String) = jars.first { it.name.startsWith(name) }

    private val home = File(System.getProperty("java.home"))

    private fun java(vararg words: String) = Program(listOf("$home/bin/java") + words)

    /** Why ProGuard cannot read this JDK, or null. */
    private fun obstacle(): String? {
        val (here, newest) = System.getProperty("java.class.version").toDouble().toInt() to (VersionConstants.MAX_SUPPORTED_VERSION shr 16)
        return when {
            !File(home, "jmods/java.base.jmod").exists() -> "this JDK has no folder jmods"
            here > newest -> "this JDK writes classes of version $here, and ProGuard reads them up to $newest"
            else -> null
        }
    }

    @Test
    fun `a program that is minified under the consumer rules links a terminal`() {
        obstacle()?.let { return println("skipped: the minified program: $it") }
        World().use(::linksATerminal)
    }

    private fun linksATerminal(world: World) {
        val android = File(System.getProperty("pairlight.root"), "android")
        val small = world.path("small.jar")
        val classes = Scanner::class.java.protectionDomain.codeSource.location.path
        val rules = File(world.path("rules.pro")).apply {
            writeText(
                buildString {
                    appendLine("-injars $classes(!org/pairlight/sample/**,!META-INF/**)")
                    for (name in listOf("kotlin-stdlib", "kotlinx-coroutines-core-jvm", "jna-5")) {
                        appendLine("-injars ${jar(name)}(!META-INF/MANIFEST.MF,!META-INF/versions/**,!META-INF/maven/**)")
                    }
                    appendLine("-outjars $small")
                    appendLine("-libraryjars ${jar("android-all")}(!META-INF/**)")
                    for (module in listOf("java.base", "java.desktop", "java.logging")) {
                        appendLine("-libraryjars $home/jmods/$module.jmod(!**.jar;!module-info.class)")
                    }
                    appendLine(File(android, "pairlight/consumer-rules.pro").readText())
                    // As coroutines bring it along for Android; the rest is for a debugger on the JVM.
                    appendLine("-keepclassmembers class kotlinx.coroutines.** { volatile <fields>; }")
                    appendLine("-keepclassmembers class kotlin.coroutines.SafeContinuation { volatile <fields>; }")
                    appendLine("-dontwarn java.lang.instrument.**,sun.misc.**,org.codehaus.mojo.**,org.jetbrains.annotations.**")
                    appendLine("-keep class org.pairlight.guide.Guide1Kt { public static void main(java.lang.String[]); }")
                    appendLine("-dontoptimize")
                    appendLine("-dontnote **")
                },
            )
        }
        val classPath = jars.joinToString(File.pathSeparator)
        java("-Xmx1g", "-cp", classPath, "proguard.ProGuard", "@$rules").use { minifying ->
            assertEquals(0, minifying.end(patienceS = 300), "${minifying.said()}")
        }

        val terminal = world.show()
        val code = terminal.hear("PAIRLIGHT:")
        val program = java(
            "-Djna.library.path=" + System.getProperty("jna.library.path"), "-cp", small + File.pathSeparator + jar("android-all"),
            "org.pairlight.guide.Guide1Kt", world.address.url, world.address.key, world.path("phone.db"), code,
        )
        program.use {
            val digits = program.hear("type on the other device: ").substringAfter(": ")
            terminal.hear("Type the six digits")
            terminal.type(digits)
            assertTrue("Phone" in program.hear("Linked(device="))
            assertEquals(0, program.end(), "${program.said()}")
        }
        assertEquals(0, terminal.end())
    }
}
