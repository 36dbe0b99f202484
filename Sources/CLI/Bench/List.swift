package import ArgumentParser

/// Values of an option with commas between: `1,2,4`.
package struct List<Element: ExpressibleByArgument & Sendable>: ExpressibleByArgument, Sendable {
  package var values: [Element]

  package init(_ values: [Element]) { self.values = values }

  /// Nil where there is no value, or one that is none.
  package init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    var values: [Element] = []
    for part in parts {
      guard let value = Element(argument: String(part)) else { return nil }
      values.append(value)
    }
    self.values = values
  }

  package var defaultValueDescription: String {
    values.map { "\($0)" }.joined(separator: ",")
  }

  package static var allValueStrings: [String] { Element.allValueStrings }
}

extension List: ExpressibleByArrayLiteral {
  package init(arrayLiteral elements: Element...) { self.init(elements) }
}
