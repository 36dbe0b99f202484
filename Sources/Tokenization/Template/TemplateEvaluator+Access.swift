extension TemplateEvaluator {
  /// `base.name`: a method first, then an entry, as Jinja looks things up.
  func attribute(
    _ base: TemplateValue, _ name: String, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch base {
    case .undefined(let owner):
      throw TemplateError(
        .undefined, line: line, "'\(owner)' is undefined and has no attribute '\(name)'")
    case .namespace(let index) where namespaces.indices.contains(index):
      return namespaces[index][name] ?? .undefined(name)
    case .loop(let index): return loopAttribute(index, name)
    case .macro(let index) where name == "name" && macros.indices.contains(index):
      return .string(macros[index].macro.name)
    default:
      if TemplateMethods.exist(name, on: base) { return .method(base, name) }
      if case .dictionary(let dictionary) = base {
        try charge(line, work: dictionary.count / 16)
        return dictionary[name] ?? .undefined(name)
      }
      return .undefined(name)
    }
  }

  /// `base[key]`: an entry first, then an attribute. What does not exist is undefined, not an error.
  func item(
    _ base: TemplateValue, _ key: TemplateValue, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch base {
    case .undefined(let owner):
      throw TemplateError(.undefined, line: line, "'\(owner)' is undefined and has no elements")
    case .dictionary(let dictionary):
      try charge(line, work: dictionary.count / 16)
      if TemplateKey.isHashable(key), let value = dictionary[key: key] { return value }
    case .sequence(let sequence) where sequence.isIndexable:
      if let index = key.integer {
        return Self.element(index, of: sequence.items) ?? .undefined("element \(index)")
      }
    case .string(let text):
      if let index = key.integer {
        try charge(line, text: text)
        let scalar = Self.element(index, of: Array(text.unicodeScalars))
        return scalar.map { .string(String(Character($0))) } ?? .undefined("character \(index)")
      }
    default: break
    }
    guard case .string(let name) = key else { return .undefined("the element") }
    if case .dictionary = base {
      return TemplateMethods.exist(name, on: base) ? .method(base, name) : .undefined(name)
    }
    return try attribute(base, name, line)
  }

  /// The element at `index`, counted from the end where it is negative.
  private static func element<Element>(_ index: Int, of items: [Element]) -> Element? {
    let place = index < 0 ? index + items.count : index
    return items.indices.contains(place) ? items[place] : nil
  }

  private func loopAttribute(_ index: Int, _ name: String) -> TemplateValue {
    // A loop that has ended has no state any more.
    guard loops.indices.contains(index) else { return .undefined(name) }
    let loop = loops[index]
    let count = loop.items.count
    switch name {
    case "index": return .int(loop.index + 1)
    case "index0": return .int(loop.index)
    case "revindex": return .int(count - loop.index)
    case "revindex0": return .int(count - loop.index - 1)
    case "first": return .bool(loop.index == 0)
    case "last": return .bool(loop.index == count - 1)
    case "length": return .int(count)
    case "depth": return .int(1)
    case "depth0": return .int(0)
    case "previtem":
      return loop.index > 0 ? loop.items[loop.index - 1] : .undefined("loop.previtem")
    case "nextitem":
      return loop.index + 1 < count ? loop.items[loop.index + 1] : .undefined("loop.nextitem")
    case "cycle", "changed": return .method(.loop(index), name)
    default: return .undefined(name)
    }
  }

  /// A bound of a slice: None and what is left out count as absent.
  func bound(
    _ expression: TemplateExpression?, _ scope: TemplateScope
  ) throws(TemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression, scope)
    if case .none = value { return nil }
    guard let number = value.integer else {
      throw TemplateError(
        .type, line: expression.line, "a slice cannot end at \(value.described)")
    }
    return number
  }

  /// `base[from:to:step]` of a string, a list or a tuple.
  func slice(
    _ base: TemplateValue, _ from: Int?, _ to: Int?, _ step: Int?, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch base {
    case .string(let text):
      try charge(line, text: text)
      return .string(String(scalars: try slice(Array(text.unicodeScalars), from, to, step, line)))
    case .sequence(let sequence) where sequence.isIndexable:
      try charge(line, work: sequence.items.count / 16)
      return .sequence(
        TemplateSequence(sequence.kind, try slice(sequence.items, from, to, step, line)))
    case .undefined(let name):
      throw TemplateError(.undefined, line: line, "'\(name)' is undefined and has no elements")
    default:
      throw TemplateError(.type, line: line, "\(base.described) has no slices")
    }
  }

  private func slice<Element>(
    _ items: [Element], _ from: Int?, _ to: Int?, _ step: Int?, _ line: Int
  ) throws(TemplateError) -> [Element] {
    let step = step ?? 1
    guard step != 0 else { throw TemplateError(.type, line: line, "the step of a slice is zero") }
    let count = items.count
    let isForward = step > 0
    // Python clamps both bounds to the ends that a walk in this direction can reach.
    func clamp(_ bound: Int?, _ absent: Int) -> Int {
      guard let bound else { return absent }
      let place = bound < 0 ? max(bound, -count - 1) + count : bound
      return isForward ? min(max(place, 0), count) : min(max(place, -1), count - 1)
    }
    let start = clamp(from, isForward ? 0 : count - 1)
    let end = clamp(to, isForward ? count : -1)
    // A step beyond the length takes the first element only, and must not overflow.
    let stride = min(max(step, -count - 1), count + 1)
    return Swift.stride(from: start, to: end, by: stride).map { items[$0] }
  }
}
