/// A value in a template: Python's, as far as chat templates use them. Collections are immutable, as
/// in the sandbox that model authors test against.
package indirect enum TemplateValue: Sendable {
  /// A name that stands for nothing; it prints as nothing, and most operations refuse it.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  /// Text that the filter `safe` has passed: what it is added to is escaped for HTML, even where
  /// nothing else is. In every other place it is a string.
  case markup(String)
  case sequence(TemplateSequence)
  case dictionary(TemplateDictionary)

  // The rest is made by templates only. Numbers refer to the evaluator's own tables: values stay
  // plain, and what changes has one owner.
  case namespace(Int)
  case macro(Int)
  case loop(Int)
  case function(String)
  case method(TemplateValue, String)

  /// A Python list.
  package static func list(_ items: [TemplateValue]) -> TemplateValue {
    .sequence(TemplateSequence(.list, items))
  }

  /// A Python dict with string keys, in this order.
  package static func dictionary(_ entries: [(String, TemplateValue)]) -> TemplateValue {
    var result = TemplateDictionary()
    for (key, value) in entries { result.set(.string(key), value) }
    return .dictionary(result)
  }

  /// How deep collections are nested in each other; 0 for what is no collection.
  var depth: Int {
    switch self {
    case .sequence(let sequence): sequence.depth
    case .dictionary(let dictionary): dictionary.depth
    default: 0
    }
  }
}

/// A Python sequence or a thing to iterate over.
package struct TemplateSequence: Sendable {
  package enum Kind: Sendable {
    case list
    case tuple
    case range
    /// `dict.keys()` and its like: has a length but no places.
    case view
    /// What filters like `map` return: can only be iterated over.
    case iterator
  }

  package let kind: Kind
  package let items: [TemplateValue]
  let depth: Int

  package init(_ kind: Kind, _ items: [TemplateValue]) {
    self.kind = kind
    self.items = items
    depth = 1 + (items.lazy.map(\.depth).max() ?? 0)
  }

  /// Whether elements can be taken by position.
  var isIndexable: Bool { kind == .list || kind == .tuple || kind == .range }
  var hasLength: Bool { kind != .iterator }
}

/// A Python dict: entries in the order of their first insertion.
package struct TemplateDictionary: Sendable {
  package private(set) var entries: [(key: TemplateValue, value: TemplateValue)] = []
  private(set) var depth = 1

  package init() {}

  var count: Int { entries.count }

  /// Complexity: linear in the number of entries; chat templates have dozens.
  package mutating func set(_ key: TemplateValue, _ value: TemplateValue) {
    depth = max(depth, 1 + max(key.depth, value.depth))
    if let index = index(of: key) {
      entries[index].value = value
    } else {
      entries.append((key, value))
    }
  }

  package subscript(key key: TemplateValue) -> TemplateValue? {
    index(of: key).map { entries[$0].value }
  }

  package subscript(name: String) -> TemplateValue? { self[key: .string(name)] }

  private func index(of key: TemplateValue) -> Int? {
    entries.firstIndex { TemplateKey.same($0.key, key) }
  }
}

/// Equality of dictionary keys, which are scalars or flat tuples of scalars: deeper ones, built from
/// shared parts, could take forever to compare.
enum TemplateKey {
  static func same(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
    switch (left, right) {
    case (.string(let left), .string(let right)): left.isSame(as: right)
    case (.none, .none): true
    case (.sequence(let left), .sequence(let right)):
      left.items.count == right.items.count
        && zip(left.items, right.items).allSatisfy { same($0, $1) }
    default:
      if let left = left.number, let right = right.number { left == right } else { false }
    }
  }

  /// Python refuses lists and dicts as keys.
  static func isHashable(_ value: TemplateValue) -> Bool {
    switch value {
    case .sequence(let sequence): sequence.kind == .tuple && sequence.depth == 1
    case .dictionary: false
    default: true
    }
  }
}

extension TemplateValue {
  /// Numbers as Python compares them: True is 1.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  /// Whole numbers, with True as 1.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// The type with its article, for error messages.
  var described: String {
    switch self {
    case .none: "None"
    case .undefined: "an undefined value"
    case .int: "an int"
    case .sequence(let sequence) where sequence.kind == .iterator: "an iterator"
    default: "a \(typeName)"
    }
  }

  /// What Python's `type()` calls it.
  var typeName: String {
    switch self {
    case .undefined: "undefined"
    case .none: "None"
    case .bool: "bool"
    case .int: "int"
    case .float: "float"
    case .string: "str"
    case .markup: "Markup"
    case .sequence(let sequence):
      switch sequence.kind {
      case .list: "list"
      case .tuple: "tuple"
      case .range: "range"
      case .view: "dict view"
      case .iterator: "iterator"
      }
    case .dictionary: "dict"
    case .namespace: "namespace"
    case .macro: "macro"
    case .loop: "loop"
    case .function, .method: "function"
    }
  }
}

extension String {
  /// Equality by code points, as Python has it; Swift's own would unite "é" with "e" and an accent.
  func isSame(as other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }

  init(scalars: some Sequence<Unicode.Scalar>) {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    self = String(view)
  }
}
