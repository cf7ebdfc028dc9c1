import Foundation

public struct AccessibilityTraits: Sendable {
    public static let isHeader = AccessibilityTraits()
    public static let updatesFrequently = AccessibilityTraits()
}

public struct AccessibilityChildBehavior: Sendable {
    public static let combine = AccessibilityChildBehavior()
}

public enum LayoutDirection: Sendable {
    case leftToRight, rightToLeft
}

public struct EnvironmentValues {
    public var layoutDirection: LayoutDirection {
        get { fatalError() }
        set {}
    }
}

public struct TextInputAutocapitalization: Sendable {
    public static var never: TextInputAutocapitalization { fatalError() }
}

public protocol NavigationViewStyle {}
public struct StackNavigationViewStyle: NavigationViewStyle {}
extension NavigationViewStyle where Self == StackNavigationViewStyle {
    public static var stack: StackNavigationViewStyle { fatalError() }
}

public protocol PrimitiveButtonStyle {}
public struct BorderedProminentButtonStyle: PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedProminentButtonStyle {
    public static var borderedProminent: BorderedProminentButtonStyle { fatalError() }
}

public enum ContentMode: Sendable {
    case fit, fill
}

extension View {
    public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { self }
    public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { self }
    public func accessibilityHidden(_ hidden: Bool) -> some View { self }
    public func accessibilityLabel(_ key: LocalizedStringKey) -> some View { self }
    public func aspectRatio(_ ratio: CGFloat?, contentMode: ContentMode) -> some View { self }
    public func buttonStyle<S: PrimitiveButtonStyle>(_ style: S) -> some View { self }
    public func confirmationDialog<Actions: View, Item>(
        _ key: LocalizedStringKey, isPresented: Binding<Bool>, presenting item: Item?, @ViewBuilder actions: (Item) -> Actions
    ) -> some View { self }
    public func disableAutocorrection(_ disabled: Bool?) -> some View { self }
    public func disabled(_ disabled: Bool) -> some View { self }
    public func environment<V>(_ path: WritableKeyPath<EnvironmentValues, V>, _ value: V) -> some View { self }
    public func font(_ font: Font?) -> some View { self }
    public func keyboardType(_ type: UIKeyboardType) -> some View { self }
    public func navigationTitle(_ key: LocalizedStringKey) -> some View { self }
    public func navigationViewStyle<S: NavigationViewStyle>(_ style: S) -> some View { self }
    public func onAppear(perform action: (() -> Void)?) -> some View { self }
    public func onDisappear(perform action: (() -> Void)?) -> some View { self }
    public func onLongPressGesture(minimumDuration: Double, perform action: @escaping () -> Void) -> some View { self }
    public func overlay<V: View>(alignment: Alignment = .center, @ViewBuilder content: () -> V) -> some View { self }
    public func padding() -> some View { self }
    public func swipeActions<V: View>(@ViewBuilder content: () -> V) -> some View { self }
    public func task(@_inheritActorContext _ action: @escaping @Sendable () async -> Void) -> some View { self }
    public func textInputAutocapitalization(_ mode: TextInputAutocapitalization?) -> some View { self }
}
