// swift-tools-version: 6.0
import PackageDescription

// `scripts/test-ios.sh` puts this beside copies of the package, the sample and the guide in which `os(iOS)` holds, and compiles
// them on Linux: so the compiler sees what is behind that. What they use of Apple's is declared here by hand, and no more of it;
// there is nothing to run. Where a declaration is not as Apple's, only a Mac finds it.
let apple = ["CoreVideo", "CoreMedia", "AVFoundation", "Security", "CryptoKit", "LocalAuthentication", "SwiftUI"]

let package = Package(
    name: "AppleParts",
    targets: [
        .systemLibrary(name: "PairlightBridgeFFI", path: "Sources/PairlightBridgeFFI"),
        .target(
            name: "PairlightBridge",
            dependencies: ["PairlightBridgeFFI"],
            exclude: ["README.md"],
            swiftSettings: [.swiftLanguageMode(.v5)]
        ),
        .target(name: "CoreVideo", path: "Apple/CoreVideo"),
        .target(name: "CoreMedia", dependencies: ["CoreVideo"], path: "Apple/CoreMedia"),
        .target(name: "AVFoundation", dependencies: ["CoreMedia"], path: "Apple/AVFoundation"),
        .target(name: "Security", path: "Apple/Security"),
        .target(name: "CryptoKit", dependencies: ["Security"], path: "Apple/CryptoKit"),
        .target(name: "LocalAuthentication", path: "Apple/LocalAuthentication"),
        .target(name: "SwiftUI", dependencies: ["AVFoundation"], path: "Apple/SwiftUI"),
        .target(
            name: "Pairlight",
            dependencies: ["PairlightBridge"] + apple.map { .target(name: $0) },
            exclude: ["PrivacyInfo.xcprivacy"]
        ),
        .target(
            name: "PairlightSample",
            dependencies: ["Pairlight", "SwiftUI"],
            path: "Sample",
            exclude: ["ar.lproj", "en.lproj"],
            swiftSettings: [.unsafeFlags(["-parse-as-library"])]
        ),
        .target(name: "Guide", dependencies: ["Pairlight"], path: "Guide"),
    ],
    swiftLanguageModes: [.v6]
)
