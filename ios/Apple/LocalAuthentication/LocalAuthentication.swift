import Foundation

public enum LAPolicy: Sendable {
    case deviceOwnerAuthenticationWithBiometrics, deviceOwnerAuthentication
}

public final class LAContext: NSObject {
    public func evaluatePolicy(
        _ policy: LAPolicy, localizedReason reason: String, reply: @escaping @Sendable (Bool, (any Error)?) -> Void
    ) {}
}
