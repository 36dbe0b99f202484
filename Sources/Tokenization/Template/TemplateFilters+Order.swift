extension TemplateEvaluator {
  /// The filters that compare elements with each other.
  func orderedFilter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch name {
    case "sort":
      let isReversed = arguments.value(0, "reverse").map(isTrue) ?? false
      let keys = try self.keys(
        try elements(value, line), arguments.value(2, "attribute"),
        caseSensitive: arguments.value(1, "case_sensitive"), line)
      return .list(try sorted(keys, reversed: isReversed, line))
    case "dictsort":
      guard case .dictionary(let dictionary) = value else {
        throw TemplateError(.type, line: line, "'dictsort' takes a dict")
      }
      var place = 0
      if case .string("value")? = arguments.value(1, "by") { place = 1 }
      let keys = try self.keys(
        Self.pairs(dictionary), .int(place), caseSensitive: arguments.value(0, "case_sensitive"),
        line)
      let isReversed = arguments.value(2, "reverse").map(isTrue) ?? false
      return .list(try sorted(keys, reversed: isReversed, line))
    case "min", "max":
      let keys = try self.keys(
        try elements(value, line), arguments.value(1, "attribute"),
        caseSensitive: arguments.value(0, "case_sensitive"), line)
      guard var best = keys.first else { return .undefined("the element of an empty list") }
      for key in keys.dropFirst() {
        let order = try order(key.key, best.key, line) ?? 0
        if name == "min" ? order < 0 : order > 0 { best = key }
      }
      return best.item
    case "unique":
      let keys = try self.keys(
        try elements(value, line), arguments.value(1, "attribute"),
        caseSensitive: arguments.value(0, "case_sensitive"), line)
      var kept: [(key: TemplateValue, item: TemplateValue)] = []
      for key in keys {
        var isKnown = false
        for other in kept where try equal(other.key, key.key, line) { isKnown = true }
        if !isKnown { kept.append(key) }
      }
      return .sequence(TemplateSequence(.iterator, kept.map(\.item)))
    default:
      let keys = try self.keys(
        try elements(value, line), arguments.value(0, "attribute"), caseSensitive: .bool(true), line
      )
      var groups: [(key: TemplateValue, items: [TemplateValue])] = []
      for (key, item) in try sortedKeys(keys, line) {
        if let last = groups.last, try equal(last.key, key, line) {
          groups[groups.count - 1].items.append(item)
        } else {
          groups.append((key, [item]))
        }
      }
      return .list(
        groups.map { .sequence(TemplateSequence(.tuple, [$0.key, .list($0.items)])) })
    }
  }

  /// Each element with what it is compared by: an attribute of it, in lower case unless asked not to.
  private func keys(
    _ items: [TemplateValue], _ attribute: TemplateValue?, caseSensitive: TemplateValue?,
    _ line: Int
  ) throws(TemplateError) -> [(key: TemplateValue, item: TemplateValue)] {
    let keepsCase = caseSensitive.map(isTrue) ?? false
    return try items.map { item throws(TemplateError) in
      try charge(line)
      var key = item
      if let attribute, !isNone(attribute) { key = try element(item, attribute, line) }
      if !keepsCase, case .string(let text) = key { key = .string(text.lowercased()) }
      return (key, item)
    }
  }

  private func sorted(
    _ keys: [(key: TemplateValue, item: TemplateValue)], reversed: Bool, _ line: Int
  ) throws(TemplateError) -> [TemplateValue] {
    // Python's reverse keeps equal elements in their order: so does sorting the mirror image.
    let sorted = try sortedKeys(reversed ? keys.reversed() : keys, line).map(\.item)
    return reversed ? sorted.reversed() : sorted
  }

  /// A merge sort: stable, and the comparison may throw.
  private func sortedKeys(
    _ keys: [(key: TemplateValue, item: TemplateValue)], _ line: Int
  ) throws(TemplateError) -> [(key: TemplateValue, item: TemplateValue)] {
    guard keys.count > 1 else { return keys }
    let middle = keys.count / 2
    let left = try sortedKeys(Array(keys[..<middle]), line)
    let right = try sortedKeys(Array(keys[middle...]), line)
    var result: [(key: TemplateValue, item: TemplateValue)] = []
    result.reserveCapacity(keys.count)
    var (first, second) = (0, 0)
    while first < left.count, second < right.count {
      if try order(right[second].key, left[first].key, line) ?? 0 < 0 {
        result.append(right[second])
        second += 1
      } else {
        result.append(left[first])
        first += 1
      }
    }
    return result + left[first...] + right[second...]
  }
}
