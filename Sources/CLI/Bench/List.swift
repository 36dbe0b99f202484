import ArgumentParser

/// Values of an option with commas between: `1,2,4`.
struct List<Element: ExpressibleByArgument & Sendable>: ExpressibleByArgument, Sendable {
  var values: [Element]

  init(_ values: [Element]) { self.values = values }

  /// Nil where there is no value, or one that is none.
  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    var values: [Element] = []
    for part in parts {
      guard let value = Element(argument: String(part)) else { return nil }
      values.append(value)
    }
    self.values = values
  }

  var defaultValueDescription: String {
    values.map { "\($0)" }.joined(separator: ",")
  }

  static var allValueStrings: [String] { Element.allValueStrings }
}

extension List: ExpressibleByArrayLiteral {
  init(arrayLiteral elements: Element...) { self.init(elements) }
}
