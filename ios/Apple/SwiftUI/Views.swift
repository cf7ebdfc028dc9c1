import Foundation

@MainActor public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { fatalError() }
}

/// What is shown by the system alone.
public protocol Primitive: View where Body == Never {}

extension Primitive {
    public var body: Never { fatalError() }
}

@MainActor @resultBuilder public struct ViewBuilder {
    public static func buildBlock() -> EmptyView { fatalError() }
    public static func buildBlock<Part: View>(_ part: Part) -> Part { part }
    @_disfavoredOverload
    public static func buildBlock<each Part: View>(_ part: repeat each Part) -> TupleView<(repeat each Part)> { fatalError() }
    public static func buildIf<Part: View>(_ part: Part?) -> Part? { fatalError() }
    public static func buildEither<Yes: View, No: View>(first: Yes) -> Conditional<Yes, No> { fatalError() }
    public static func buildEither<Yes: View, No: View>(second: No) -> Conditional<Yes, No> { fatalError() }
}

public struct TupleView<Parts>: Primitive {}
public struct Conditional<Yes: View, No: View>: Primitive {}
extension Optional: View where Wrapped: View {
    public var body: Never { fatalError() }
}

public struct EmptyView: Primitive {
    public init() {}
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable, Sendable {
    public init(_ key: String) {}
    public init(stringLiteral key: String) {}

    public init(stringInterpolation: StringInterpolation) {}

    public struct StringInterpolation: StringInterpolationProtocol {
        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) {}
        public mutating func appendInterpolation(_ text: String) {}
        public mutating func appendInterpolation(_ number: Int) {}
    }
}

public struct Font: Sendable {
    public enum Design: Sendable {
        case `default`, monospaced
    }

    public static let caption = Font()
    public static let title2 = Font()
    public static let title3 = Font()
    public static func system(size: CGFloat, design: Design = .default) -> Font { fatalError() }
}

public struct Text: Primitive {
    public struct DateStyle: Sendable {
        public static let relative = DateStyle()
    }

    public init(_ key: LocalizedStringKey) {}
    @_disfavoredOverload public init<S: StringProtocol>(_ text: S) {}
    public init(verbatim text: String) {}
    public init(_ date: Date, style: DateStyle) {}
    public func font(_ font: Font?) -> Text { fatalError() }
    public func speechSpellsOutCharacters(_ spells: Bool = true) -> Text { fatalError() }
}

public struct Image: Primitive {
    public init(systemName: String) {}
}

public struct Label<Title: View, Icon: View>: Primitive {
    public init(@ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {}
}

public struct ProgressView<Words: View>: Primitive {
    public init(_ key: LocalizedStringKey) where Words == Text {}
}

public struct Link<Words: View>: Primitive {
    public init(_ key: LocalizedStringKey, destination: URL) where Words == Text {}
}

public struct TextField<Words: View>: Primitive {
    public init(_ key: LocalizedStringKey, text: Binding<String>) where Words == Text {}
}

public struct ButtonRole: Equatable, Sendable {
    public static let destructive = ButtonRole()
    public static let cancel = ButtonRole()
}

public struct Button<Words: View>: Primitive {
    public init(_ key: LocalizedStringKey, action: @escaping @MainActor () -> Void) where Words == Text {}
    public init(_ key: LocalizedStringKey, role: ButtonRole?, action: @escaping @MainActor () -> Void) where Words == Text {}
}

public enum HorizontalAlignment: Sendable {
    case leading, center, trailing
}

public enum Alignment: Sendable {
    case center, bottom
}

public struct VStack<Content: View>: Primitive {
    public init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct HStack<Content: View>: Primitive {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct ZStack<Content: View>: Primitive {
    public init(alignment: Alignment = .center, @ViewBuilder content: () -> Content) {}
}

public struct Group<Content: View>: Primitive {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct List<Content: View>: Primitive {
    public init(@ViewBuilder content: () -> Content) {}
    public init<Rows: RandomAccessCollection, ID: Hashable, Row: View>(
        _ rows: Rows, id: KeyPath<Rows.Element, ID>, @ViewBuilder row: @escaping (Rows.Element) -> Row
    ) where Content == ForEach<Rows, ID, Row> {}
}

public struct ForEach<Rows: RandomAccessCollection, ID: Hashable, Row: View>: Primitive {
    public init(_ rows: Rows, id: KeyPath<Rows.Element, ID>, @ViewBuilder content: @escaping (Rows.Element) -> Row) {}
}

public struct NavigationView<Content: View>: Primitive {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct NavigationLink<Words: View, Destination: View>: Primitive {
    public init(_ key: LocalizedStringKey, @ViewBuilder destination: () -> Destination) where Words == Text {}
    public init(destination: Destination, isActive: Binding<Bool>, @ViewBuilder label: () -> Words) {}
}

@MainActor public protocol UIViewRepresentable: View where Body == Never {
    associatedtype UIViewType: UIView
    typealias Context = RepresentableContext
    func makeUIView(context: Context) -> UIViewType
    func updateUIView(_ view: UIViewType, context: Context)
}

extension UIViewRepresentable {
    public var body: Never { fatalError() }
}

public struct RepresentableContext {}

@MainActor public protocol Scene {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
}

extension Never: Scene {}

@MainActor @resultBuilder public struct SceneBuilder {
    public static func buildBlock<Part: Scene>(_ part: Part) -> Part { part }
}

public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}

@MainActor public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
    init()
}

extension App {
    public static func main() {}
}
