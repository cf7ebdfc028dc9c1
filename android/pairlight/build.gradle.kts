plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "org.pairlight"
    compileSdk = libs.versions.compileSdk.get().toInt()
    ndkVersion = libs.versions.ndk.get()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // What `make android` made from the Rust library: Kotlin of the bridge, and one library for each ABI.
    sourceSets.getByName("main") {
        kotlin.directories.add(rootDir.resolve("../target/android/kotlin").path)
        jniLibs.directories.add(rootDir.resolve("../target/android/jniLibs").path)
    }

    packaging.jniLibs.useLegacyPackaging = false
    publishing.singleVariant("release") { withSourcesJar() }
}

dependencies {
    api(libs.coroutines.core)
    implementation(libs.coroutines.android)
    // JNA as an AAR: with its own libraries for Android.
    implementation(libs.jna) { artifact { type = "aar" } }
}
