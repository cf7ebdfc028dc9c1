import Foundation

public struct Color: Sendable {
    public static let black = Color()
    public static let green = Color()
    public static let white = Color()
}

public struct Path: Primitive {
    public nonisolated init(_ rectangle: CGRect) {}
    public nonisolated init(_ draw: (inout Path) -> Void) {}
    public nonisolated mutating func addLines(_ points: [CGPoint]) {}
    public nonisolated mutating func closeSubpath() {}
    public func stroke(_ color: Color, lineWidth: CGFloat) -> some View { self }
}

public struct GraphicsContext {
    public struct Shading: Sendable {
        public static func color(_ color: Color) -> Shading { fatalError() }
    }

    public func fill(_ path: Path, with shading: Shading) {}
}

public struct Canvas: Primitive {
    public init(renderer: @escaping (inout GraphicsContext, CGSize) -> Void) {}
}

public struct GeometryProxy {
    public var size: CGSize { fatalError() }
}

public struct GeometryReader<Content: View>: Primitive {
    public init(@ViewBuilder content: @escaping (GeometryProxy) -> Content) {}
}
