package org.pairlight

import java.io.File
import java.io.PrintWriter
import java.io.StringWriter
import java.util.spi.ToolProvider
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/**
 * What an app can call stands in `android/api/pairlight.api`: a change of the public surface is seen in the diff of the
 * commit that makes it. `PAIRLIGHT_UPDATE_API=1 scripts/test-android.sh` writes it anew.
 */
class ApiTest {
    @Test
    fun `the public surface is the one that is committed`() {
        val file = File(System.getProperty("pairlight.api"))
        val now = dump()
        if (System.getenv("PAIRLIGHT_UPDATE_API") != null) file.apply { parentFile.mkdirs() }.writeText(now)
        assertEquals(file.readText(), now, "PAIRLIGHT_UPDATE_API=1 scripts/test-android.sh writes the file anew")
    }

    private fun dump(): String {
        val classes = File(Scanner::class.java.protectionDomain.codeSource.location.toURI()).resolve("org/pairlight")
        // Functions of a file, and what Kotlin calls internal, are no app's business.
        val files = classes.listFiles { file -> file.extension == "class" }.orEmpty()
            .filterNot { it.nameWithoutExtension.endsWith("Kt") || Regex("(Alerts|Changes|KeystoreKeys)[.$].*").matches(it.name) }
            .filterNot { Regex("[$](\\d|WhenMappings|own[$]|bridge[$])").containsMatchIn(it.name) }
            .sortedBy { it.name }
        val out = StringWriter()
        val javap = ToolProvider.findFirst("javap").get()
        check(javap.run(PrintWriter(out), PrintWriter(System.err), "-public", *files.map { it.path }.toTypedArray()) == 0)
        return out.toString().lineSequence()
            .filterNot { it.startsWith("Compiled from") || "\$pairlight_jvm" in it || "org.pairlight.bridge" in it }
            .filterNot { "DefaultConstructorMarker" in it || Regex("[$]default[(]").containsMatchIn(it) }
            // What every data class and enumeration has.
            .filterNot { Regex(" (component\\d+|copy|toString|hashCode|equals|valueOf|values|getEntries)[(]").containsMatchIn(it) }
            .filterNot { it.startsWith("final class") || it.startsWith("class ") }
            .joinToString("\n", postfix = "\n") { it.trimEnd() }
            .replace(Regex("\n+"), "\n")
    }
}
