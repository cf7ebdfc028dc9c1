import PairlightBridge

// Values cross the border as they are; what follows gives them a home in this module. What has behaviour, the scanner, the
// flows and the line, is written in this module and not generated.

/// Where the relay is, and which one.
public typealias RelayAddress = PairlightBridge.RelayAddress
/// Which evidence a link needs, and what it grants.
public typealias LinkPolicy = PairlightBridge.PolicyPreset
/// How a code reached this device.
public typealias CodeSource = PairlightBridge.Source
/// Why a link ended without a device; the same word on both sides.
public typealias EndedReason = PairlightBridge.EndedReason
/// What the approval screen must show. No is the default.
public typealias Approval = PairlightBridge.Approval
/// A code to draw: dark on light, with four modules of margin.
public typealias CodePicture = PairlightBridge.CodePicture
/// One device of the account.
public typealias Device = PairlightBridge.Device
/// A device that left the account within the last 180 days.
public typealias RemovedDevice = PairlightBridge.RemovedDevice
/// How this linked device stands.
public typealias OwnStanding = PairlightBridge.OwnStanding
/// Something to tell the person. Not `Alert`: SwiftUI has one.
public typealias AccountAlert = PairlightBridge.Alert
/// What an alert is about: the key of its translation.
public typealias AlertKind = PairlightBridge.AlertKind
/// Two device lists that contradict each other.
public typealias Fork = PairlightBridge.Fork
/// A file of a message. Name and type are another device's words: never a path.
public typealias Attachment = PairlightBridge.Attachment
/// How much of a file is on this device.
public typealias FileState = PairlightBridge.FileState
/// A message of a conversation. Its texts come from other devices.
public typealias Message = PairlightBridge.Message
/// A conversation in a list.
public typealias Conversation = PairlightBridge.Conversation
/// Where a listing stands.
public typealias PageMark = PairlightBridge.PageMark
/// Progress of a transfer of history.
public typealias History = PairlightBridge.History
/// What one frame gave.
public typealias ScanReport = PairlightBridge.ScanReport
/// A code that was read.
public typealias ScannedCode = PairlightBridge.ScannedCode
/// What became of the frames.
public typealias ScanCounts = PairlightBridge.ScanCounts
/// What a code means. Nothing of it is ever opened.
public typealias Meaning = PairlightBridge.Meaning
/// Why a call failed. Closed: a `switch` over it is complete.
public typealias PairlightError = PairlightBridge.PairlightError
/// How busy the library is.
public typealias Activity = PairlightBridge.Activity
/// How much is told.
public typealias LogLevel = PairlightBridge.LogLevel

extension CodePicture: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Without what the code says.
    public var description: String { "CodePicture(size: \(size))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["size": size]) }
}

/// Something to say: `key` for translations, `text` in English.
public struct Phrase: Sendable, Hashable {
    public let key: String
    public let text: String

    static func pairs(_ keys: [String], _ texts: [String]) -> [Phrase] {
        zip(keys, texts).map { key, text in Phrase(key: key, text: text) }
    }
}

/// How sure it is that the other device is the person's own.
public enum Grade: UInt8, Sendable {
    case unknown = 0
    case weak = 1
    case medium = 2
    case strong = 3

    init(number: UInt8) {
        self = Grade(rawValue: number) ?? .unknown
    }
}

extension Error {
    /// This error as the closed one; what the bridge itself throws is a defect of ours.
    var own: PairlightError {
        if let error = self as? PairlightError {
            return error
        }
        return .Internal(what: String(describing: self))
    }
}
