// The framework's classes ask the phone that they run on what it is. Here there is none: this answers, in place of the two
// classes that would call native code.
@file:Suppress("unused", "UNUSED_PARAMETER")

package android.os

/** A phone with Android 14. */
object SystemProperties {
    @JvmStatic
    fun get(key: String): String = get(key, "").orEmpty()

    @JvmStatic
    fun get(key: String, default: String?): String? = when {
        "abilist" in key -> "x86_64"
        key.endsWith("codenames") -> "REL"
        else -> default
    }

    @JvmStatic
    fun getInt(key: String, default: Int): Int = if (key == "ro.build.version.sdk") 34 else default

    @JvmStatic
    fun getLong(key: String, default: Long): Long = default

    @JvmStatic
    fun getBoolean(key: String, default: Boolean): Boolean = default
}
