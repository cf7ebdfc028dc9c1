// swift-tools-version: 6.0
import PackageDescription

// The bridge is the Rust library. On Apple's platforms it is the XCFramework that `make ios` builds; elsewhere the library
// that cargo built for this machine, so that the package can be built and tested without a Mac (`scripts/test-ios.sh`).
#if os(Linux)
let bridge: [Target] = [
    .systemLibrary(name: "PairlightBridgeFFI", path: "Sources/PairlightBridgeFFI"),
]
#else
let bridge: [Target] = [
    .binaryTarget(name: "PairlightBridgeFFI", path: "Frameworks/PairlightBridgeFFI.xcframework"),
]
#endif

let package = Package(
    name: "Pairlight",
    defaultLocalization: "en",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "Pairlight", targets: ["Pairlight"]),
    ],
    targets: bridge + [
        // Generated; not in the repository. Its types are Sendable; that its inside passes as Swift 6 is the generator's affair.
        .target(
            name: "PairlightBridge",
            dependencies: ["PairlightBridgeFFI"],
            exclude: ["README.md"],
            swiftSettings: [.swiftLanguageMode(.v5)]
        ),
        .target(
            name: "Pairlight",
            dependencies: ["PairlightBridge"],
            resources: [.copy("PrivacyInfo.xcprivacy")]
        ),
        .testTarget(name: "PairlightTests", dependencies: ["Pairlight"]),
    ],
    swiftLanguageModes: [.v6]
)
