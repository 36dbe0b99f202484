/// The methods of strings, dicts and lists that templates may call. Those that change their object
/// are missing, as in Jinja's immutable sandbox.
enum TemplateMethods {
  private static let ofStrings: Set<String> = [
    "capitalize", "count", "endswith", "find", "format", "index", "isalnum", "isalpha", "isdigit",
    "islower", "isspace", "isupper", "join", "ljust", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rjust", "rpartition", "rsplit", "rstrip",
    "split", "splitlines", "startswith", "strip", "title", "upper", "zfill",
  ]
  private static let ofDictionaries: Set<String> = ["copy", "get", "items", "keys", "values"]
  private static let ofLists: Set<String> = ["copy", "count", "index"]
  /// They exist in Python and are refused there by the sandbox, so they hide entries of that name.
  private static let changing: Set<String> = [
    "append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update",
  ]

  static func exist(_ name: String, on value: TemplateValue) -> Bool {
    switch value {
    case .string: ofStrings.contains(name)
    case .dictionary: ofDictionaries.contains(name) || changing.contains(name)
    case .sequence(let sequence):
      sequence.isIndexable && (ofLists.contains(name) || changing.contains(name))
    default: false
    }
  }
}

extension TemplateEvaluator {
  func method(
    _ name: String, of receiver: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch receiver {
    case .string(let text):
      try charge(line, text: text)
      return try stringMethod(name, text, arguments, line)
    case .dictionary(let dictionary):
      try charge(line, work: 1 + dictionary.count / 16)
      switch name {
      case "get":
        guard let key = arguments.positional.first, TemplateKey.isHashable(key) else { break }
        return dictionary[key: key] ?? arguments.value(1, "default") ?? .none
      case "items":
        return .sequence(TemplateSequence(.view, Self.pairs(dictionary)))
      case "keys": return .sequence(TemplateSequence(.view, dictionary.entries.map(\.key)))
      case "values": return .sequence(TemplateSequence(.view, dictionary.entries.map(\.value)))
      case "copy": return receiver
      default: break
      }
    case .sequence(let sequence):
      switch name {
      case "copy": return receiver
      case "count", "index":
        guard let wanted = arguments.positional.first else { break }
        var places: [Int] = []
        for (index, item) in sequence.items.enumerated() where try equal(item, wanted, line) {
          places.append(index)
        }
        if name == "count" { return .int(places.count) }
        guard let first = places.first else {
          throw TemplateError(.type, line: line, "the value is not in the list")
        }
        return .int(first)
      default: break
      }
    case .loop(let index) where loops.indices.contains(index):
      if name == "cycle" {
        guard !arguments.positional.isEmpty else { break }
        return arguments.positional[loops[index].index % arguments.positional.count]
      }
      let value = TemplateValue.sequence(TemplateSequence(.tuple, arguments.positional))
      let last = loops[index].lastChecked
      loops[index].lastChecked = value
      guard let last else { return .bool(true) }
      return .bool(try !equal(last, value, line))
    default: break
    }
    throw TemplateError(
      .type, line: line,
      "'\(name)' of \(receiver.described) cannot be called so: it changes the object, or lacks "
        + "arguments")
  }

  static func pairs(_ dictionary: TemplateDictionary) -> [TemplateValue] {
    dictionary.entries.map { .sequence(TemplateSequence(.tuple, [$0.key, $0.value])) }
  }

  private func stringMethod(
    _ name: String, _ text: String, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    func string(_ position: Int, _ label: String) throws(TemplateError) -> String? {
      switch arguments.value(position, label) {
      case nil, .some(.none): return nil
      case .some(.string(let text)): return text
      case .some(let other):
        throw TemplateError(.type, line: line, "'\(name)' takes a string, not \(other.described)")
      }
    }
    func needed(_ position: Int, _ label: String) throws(TemplateError) -> String {
      guard let text = try string(position, label) else {
        throw TemplateError(.type, line: line, "'\(name)' needs a string")
      }
      return text
    }
    func number(_ position: Int, _ label: String) throws(TemplateError) -> Int? {
      guard let value = arguments.value(position, label) else { return nil }
      guard let number = value.integer else {
        throw TemplateError(.type, line: line, "'\(name)' takes a number, not \(value.described)")
      }
      return number
    }

    switch name {
    case "strip": return .string(TemplateStrings.strip(text, try string(0, "chars")))
    case "lstrip": return .string(TemplateStrings.strip(text, try string(0, "chars"), .left))
    case "rstrip": return .string(TemplateStrings.strip(text, try string(0, "chars"), .right))
    case "upper": return .string(text.uppercased())
    case "lower": return .string(text.lowercased())
    case "title": return .string(TemplateStrings.title(text))
    case "capitalize": return .string(TemplateStrings.capitalize(text))
    case "split", "rsplit":
      let separator = try string(0, "sep")
      guard separator != "" else {
        throw TemplateError(.type, line: line, "the separator of a split is empty")
      }
      let limit = try number(1, "maxsplit") ?? -1
      let parts = TemplateStrings.split(
        text, separator, limit: limit < 0 ? .max - 1 : limit, fromRight: name == "rsplit")
      try charge(line, work: parts.count)
      return .list(parts.map { .string($0) })
    case "splitlines":
      let lines = TemplateStrings.lines(
        text, keepEnds: arguments.value(0, "keepends").map(isTrue) ?? false)
      try charge(line, work: lines.count)
      return .list(lines.map { .string($0) })
    case "partition", "rpartition":
      return try partition(text, try needed(0, "sep"), fromRight: name == "rpartition", line)
    case "startswith", "endswith":
      let parts: [TemplateValue]
      switch arguments.value(0, "prefix") {
      case .sequence(let sequence) where sequence.kind == .tuple: parts = sequence.items
      case let value: parts = value.map { [$0] } ?? []
      }
      for part in parts {
        guard case .string(let part) = part else {
          throw TemplateError(.type, line: line, "'\(name)' takes strings")
        }
        let matches =
          name == "startswith"
          ? text.utf8.starts(with: part.utf8)
          : text.utf8.reversed().starts(with: part.utf8.reversed())
        if matches { return .bool(true) }
      }
      guard !parts.isEmpty else {
        throw TemplateError(.type, line: line, "'\(name)' needs a string")
      }
      return .bool(false)
    case "removeprefix":
      let part = try needed(0, "prefix")
      return .string(
        text.utf8.starts(with: part.utf8)
          ? String(decoding: text.utf8.dropFirst(part.utf8.count), as: UTF8.self) : text)
    case "removesuffix":
      let part = try needed(0, "suffix")
      return .string(
        text.utf8.reversed().starts(with: part.utf8.reversed())
          ? String(decoding: text.utf8.dropLast(part.utf8.count), as: UTF8.self) : text)
    case "replace":
      let limit = try number(2, "count") ?? -1
      return .string(
        try replace(
          text, try needed(0, "old"), try needed(1, "new"), limit: limit < 0 ? .max - 1 : limit,
          line))
    case "join":
      guard let items = arguments.positional.first else { break }
      return .string(try joined(try elements(items, line), text, strict: true, line))
    case "format": return .string(try braceFormat(text, arguments, line))
    case "find", "rfind", "index", "count":
      return try search(name, text, try needed(0, "sub"), line)
    case "isdigit":
      return .bool(
        all(text) { $0.properties.numericType == .decimal || $0.properties.numericType == .digit })
    case "isalpha": return .bool(all(text) { CharacterClass.of($0.value).meets(.letter) })
    case "isalnum":
      return .bool(all(text) { CharacterClass.of($0.value).meets([.letter, .number]) })
    case "isspace": return .bool(all(text) { $0.isPythonSpace })
    case "isupper", "islower": return .bool(hasCase(text, upper: name == "isupper"))
    case "ljust", "rjust", "zfill":
      let width = min(try number(0, "width") ?? 0, limits.outputBytes / 4)
      let fill = name == "zfill" ? "0" : try string(1, "fillchar") ?? " "
      let padding = String(
        repeating: fill, count: max(0, width - text.unicodeScalars.count))
      if name == "zfill", text.hasPrefix("-") || text.hasPrefix("+") {
        return .string(String(text.prefix(1)) + padding + text.dropFirst())
      }
      return .string(name == "ljust" ? text + padding : padding + text)
    default: break
    }
    throw TemplateError(.type, line: line, "'\(name)' of a string lacks arguments")
  }

  private func all(_ text: String, _ meets: (Unicode.Scalar) -> Bool) -> Bool {
    !text.isEmpty && text.unicodeScalars.allSatisfy(meets)
  }

  /// Whether the text has letters with case, and all of them have this one.
  func hasCase(_ text: String, upper: Bool) -> Bool {
    let cased = text.unicodeScalars.filter { $0.properties.isCased }
    return !cased.isEmpty
      && cased.allSatisfy { upper ? $0.properties.isUppercase : $0.properties.isLowercase }
  }

  private func partition(
    _ text: String, _ separator: String, fromRight: Bool, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    guard !separator.isEmpty else {
      throw TemplateError(.type, line: line, "the separator of a partition is empty")
    }
    let bytes = Array(text.utf8)
    let part = Array(separator.utf8)
    let place =
      fromRight ? TemplateStrings.findLast(part, in: bytes) : TemplateStrings.find(part, in: bytes)
    var parts = fromRight ? ["", "", text] : [text, "", ""]
    if let place {
      parts = [
        String(decoding: bytes[..<place], as: UTF8.self), separator,
        String(decoding: bytes[(place + part.count)...], as: UTF8.self),
      ]
    }
    return .sequence(TemplateSequence(.tuple, parts.map { .string($0) }))
  }

  private func search(
    _ name: String, _ text: String, _ wanted: String, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    let bytes = Array(text.utf8)
    let part = Array(wanted.utf8)
    if name == "count" {
      return .int(
        part.isEmpty
          ? text.unicodeScalars.count + 1
          : TemplateStrings.split(text, wanted, limit: .max - 1).count - 1)
    }
    let place =
      name == "rfind"
      ? TemplateStrings.findLast(part, in: bytes) : TemplateStrings.find(part, in: bytes)
    guard let place else {
      if name == "index" {
        throw TemplateError(.type, line: line, "'\(wanted)' is not in the string")
      }
      return .int(-1)
    }
    // Python counts characters.
    return .int(String(decoding: bytes[..<place], as: UTF8.self).unicodeScalars.count)
  }

  func replace(
    _ text: String, _ old: String, _ new: String, limit: Int, _ line: Int
  ) throws(TemplateError) -> String {
    // The result is bounded before it is built: each place may grow it by the length of `new`.
    let places = text.utf8.count / max(old.utf8.count, 1) + 1
    let (growth, overflow) = places.multipliedReportingOverflow(by: new.utf8.count)
    try charge(line, text: text)
    if overflow || growth > limits.outputBytes {
      let exact = TemplateStrings.split(text, old.isEmpty ? nil : old, limit: limit).count
      guard !old.isEmpty, exact.multipliedReportingOverflow(by: new.utf8.count).overflow == false,
        exact * new.utf8.count <= limits.outputBytes
      else { throw TemplateError(.limit, line: line, "a replacement makes too much text") }
    }
    return try checked(TemplateStrings.replace(text, old, new, limit: limit), line)
  }

  /// `strict` is Python's own `join`, which takes strings only; the filter takes anything.
  func joined(
    _ items: [TemplateValue], _ separator: String, strict: Bool, _ line: Int
  ) throws(TemplateError) -> String {
    var result = ""
    for (index, item) in items.enumerated() {
      try charge(line)
      if index > 0 { result += separator }
      if strict, case .string = item {
      } else if strict {
        throw TemplateError(.type, line: line, "'join' takes strings, not \(item.described)")
      }
      result += try text(item, line)
      try bound(result, line)
    }
    return try checked(result, line)
  }
}
