import Foundation

@MainActor @propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) {}
    public init() where Value: ExpressibleByNilLiteral {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { fatalError() }
}

@MainActor @propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { self }
    public static func constant(_ value: Value) -> Binding<Value> { fatalError() }
    public subscript<Part>(dynamicMember path: WritableKeyPath<Value, Part>) -> Binding<Part> { fatalError() }
}

public protocol ObservableObject: AnyObject {}

@propertyWrapper public struct Published<Value> {
    public init(wrappedValue: Value) {}
    public init() where Value: ExpressibleByNilLiteral {}
    public var wrappedValue: Value {
        get { fatalError() }
        set {}
    }
}

@propertyWrapper public struct AppStorage<Value> {
    public init(wrappedValue: Value, _ key: String) where Value == String {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
}

@MainActor @propertyWrapper public struct ObservedObject<Observed: ObservableObject> {
    @dynamicMemberLookup public struct Wrapper {
        public subscript<Part>(dynamicMember path: ReferenceWritableKeyPath<Observed, Part>) -> Binding<Part> { fatalError() }
    }

    public init(wrappedValue: Observed) {}
    public var wrappedValue: Observed { fatalError() }
    public var projectedValue: Wrapper { fatalError() }
}

@MainActor @propertyWrapper public struct StateObject<Observed: ObservableObject> {
    public init(wrappedValue make: @autoclosure @escaping () -> Observed) {}
    public var wrappedValue: Observed { fatalError() }
    public var projectedValue: ObservedObject<Observed>.Wrapper { fatalError() }
}
