package dalvik.system

/** See Phone.kt. */
class VMRuntime private constructor() {
    fun is64Bit(): Boolean = true

    companion object {
        private val only = VMRuntime()

        @JvmStatic
        fun getRuntime(): VMRuntime = only
    }
}
