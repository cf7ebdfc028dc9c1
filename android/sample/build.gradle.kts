plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.pairlight.sample"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.pairlight.sample"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.compileSdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
        ndk.abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
    }

    buildTypes {
        release {
            // As an embedder ships it: what the consumer rules forget shows here.
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    lint.error += setOf("ContentDescription", "HardcodedText", "MissingTranslation", "RtlHardcoded")
}

dependencies {
    implementation(project(":pairlight"))
    implementation(libs.coroutines.android)
}
