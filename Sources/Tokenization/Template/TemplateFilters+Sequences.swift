extension TemplateEvaluator {
  /// The filters over sequences; nil where `name` is none of them.
  func sequenceFilter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue? {
    switch name {
    case "length", "count": return .int(try length(value, line))
    case "list": return .list(try elements(value, line))
    case "first": return try elements(value, line).first ?? .undefined("the first element")
    case "last":
      if case .sequence(let sequence) = value, !sequence.isIndexable, sequence.kind != .view {
        throw TemplateError(.type, line: line, "an iterator has no last element")
      }
      return try elements(value, line).last ?? .undefined("the last element")
    case "reverse":
      if case .string(let text) = value {
        try charge(line, text: text)
        return .string(String(scalars: text.unicodeScalars.reversed()))
      }
      return .sequence(TemplateSequence(.iterator, try elements(value, line).reversed()))
    case "join":
      var items = try elements(value, line)
      if let attribute = arguments.value(1, "attribute"), !isNone(attribute) {
        items = try items.map { item throws(TemplateError) in
          try element(item, attribute, line)
        }
      }
      let separator = try arguments.value(0, "d").map { value throws(TemplateError) in
        try text(value, line)
      }
      return .string(try joined(items, separator ?? "", strict: false, line))
    case "map": return try mapped(value, arguments, line)
    case "select", "reject", "selectattr", "rejectattr":
      return try selected(name, value, arguments, line)
    case "sort", "min", "max", "unique", "groupby", "dictsort":
      return try orderedFilter(name, value, arguments, line)
    case "sum":
      var total = arguments.value(1, "start") ?? .int(0)
      for item in try elements(value, line) {
        let attribute = arguments.value(0, "attribute")
        let part = try attribute.map { attribute throws(TemplateError) in
          isNone(attribute) ? item : try element(item, attribute, line)
        }
        total = try binary("+", total, part ?? item, line)
      }
      return total
    case "batch":
      let size = arguments.value(0, "linecount")?.integer ?? 0
      guard size > 0 else {
        throw TemplateError(.type, line: line, "'batch' needs a size above zero")
      }
      let items = try elements(value, line)
      var rows = stride(from: 0, to: items.count, by: size).map {
        Array(items[$0..<min(size, items.count - $0) + $0])
      }
      if let fill = arguments.value(1, "fill_with"), !isNone(fill), var last = rows.popLast() {
        try charge(line, work: size)
        last += Array(repeating: fill, count: size - last.count)
        rows.append(last)
      }
      return .sequence(TemplateSequence(.iterator, rows.map { .list($0) }))
    case "slice": return try sliced(value, arguments, line)
    default: return nil
    }
  }

  func isNone(_ value: TemplateValue) -> Bool { if case .none = value { true } else { false } }

  private func length(_ value: TemplateValue, _ line: Int) throws(TemplateError) -> Int {
    switch value {
    case .string(let text):
      try charge(line, text: text)
      return text.unicodeScalars.count
    case .sequence(let sequence) where sequence.hasLength: return sequence.items.count
    case .dictionary(let dictionary): return dictionary.count
    case .undefined: return 0
    default: throw TemplateError(.type, line: line, "\(value.described) has no length")
    }
  }

  /// `attribute` of `item`, which may be a path such as "function.name" or a number.
  func element(
    _ item: TemplateValue, _ attribute: TemplateValue, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    guard case .string(let path) = attribute else { return try self.item(item, attribute, line) }
    var value = item
    for part in path.split(separator: ".", omittingEmptySubsequences: false) {
      let key = Int(part).map { TemplateValue.int($0) } ?? .string(String(part))
      value = try self.item(value, key, line)
    }
    return value
  }

  /// These filters take whatever is false, even None, for an empty list.
  private func elements(
    unlessEmpty value: TemplateValue, _ line: Int
  ) throws(TemplateError) -> [TemplateValue] {
    isTrue(value) ? try elements(value, line) : []
  }

  private func mapped(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    var result: [TemplateValue] = []
    var rest = arguments
    if rest.positional.isEmpty {
      guard let attribute = rest.take("attribute") else {
        throw TemplateError(.type, line: line, "'map' needs a filter or an attribute")
      }
      let fallback = rest.take("default")
      for item in try elements(unlessEmpty: value, line) {
        try charge(line)
        let found = try element(item, attribute, line)
        result.append(found.isUndefined ? fallback ?? found : found)
      }
    } else {
      guard case .string(let filter) = rest.positional.removeFirst() else {
        throw TemplateError(.type, line: line, "'map' needs the name of a filter")
      }
      for item in try elements(unlessEmpty: value, line) {
        result.append(try self.filter(filter, item, rest, line))
      }
    }
    return .sequence(TemplateSequence(.iterator, result))
  }

  private func selected(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    var rest = arguments
    var attribute: TemplateValue?
    if name.hasSuffix("attr") {
      guard !rest.positional.isEmpty else {
        throw TemplateError(.type, line: line, "'\(name)' needs an attribute")
      }
      attribute = rest.positional.removeFirst()
    }
    var test: String?
    if !rest.positional.isEmpty {
      guard case .string(let name) = rest.positional.removeFirst() else {
        throw TemplateError(.type, line: line, "'\(name)' needs the name of a test")
      }
      test = Self.operatorTests[name] ?? name
    }
    let keeps = name.hasPrefix("select")
    var result: [TemplateValue] = []
    for item in try elements(unlessEmpty: value, line) {
      try charge(line)
      var subject = item
      if let attribute { subject = try element(item, attribute, line) }
      let matches = try test.map { test throws(TemplateError) in
        try self.test(test, subject, rest, line)
      }
      if (matches ?? isTrue(subject)) == keeps { result.append(item) }
    }
    return .sequence(TemplateSequence(.iterator, result))
  }

  private static let operatorTests = [
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
  ]

  private func sliced(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    let count = arguments.value(0, "slices")?.integer ?? 0
    guard (1...100_000).contains(count) else {
      throw TemplateError(.type, line: line, "'slice' needs a number of slices above zero")
    }
    try charge(line, work: count)
    let items = try elements(value, line)
    var start = 0
    var columns: [TemplateValue] = []
    for index in 0..<count {
      let isLong = index < items.count % count
      let size = items.count / count + (isLong ? 1 : 0)
      var column = Array(items[start..<start + size])
      if let fill = arguments.value(1, "fill_with"), !isNone(fill), !isLong { column.append(fill) }
      columns.append(.list(column))
      start += size
    }
    return .sequence(TemplateSequence(.iterator, columns))
  }
}
