/// One step of a pre-tokeniser: it finds stretches inside each segment and makes each of them, and
/// what lies between two of them, a segment of its own. Files describe such steps by regular
/// expressions; ours are scanners by hand, which need no backtracking and so no time limit.
protocol TextPass: Sendable {
  /// Where the match that begins at `start` ends, or `start` if there is none. `end` is the end of
  /// the segment: a pass sees nothing behind it.
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int
  func split(_ text: ScalarText, ends: [Int]) -> [Int]
}

extension TextPass {
  /// Cuts each of the segments that end at `ends`. A requirement of the protocol, so that the loop
  /// is specialised for each pass and calls `match` directly.
  func split(_ text: ScalarText, ends: [Int]) -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(ends.count * 2)
    var start = 0
    for end in ends {
      var position = start
      while position < end {
        let next = match(text, position, end)
        if next > position {
          if position > start { result.append(position) }
          result.append(next)
          start = next
          position = next
        } else {
          position += 1
        }
      }
      if end > start { result.append(end) }
      start = end
    }
    return result
  }
}

/// `\p{N}{1,n}`: numbers in groups of at most `limit` digits, counted from the left.
struct NumberPass: TextPass {
  var limit = Int.max

  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, text.classes[position].meets(.number), position - start < limit {
      position += 1
    }
    return position
  }
}

/// `[0-9][0-9][0-9]`: exactly three ASCII digits.
struct DigitTriplePass: TextPass {
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    guard end - start >= 3 else { return start }
    for position in start..<start + 3 where !(0x30...0x39).contains(text.scalars[position]) {
      return start
    }
    return start + 3
  }
}

/// `[\r\n]`: every line break by itself.
struct LineBreakPass: TextPass {
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    text.classes[start].meets(.newline) ? start + 1 : start
  }
}

/// `[^\n]+|[\n]+`: lines, and the runs of line feeds between them.
struct LinePass: TextPass {
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    let isBreak = text.scalars[start] == 0x0A
    var position = start + 1
    while position < end, (text.scalars[position] == 0x0A) == isBreak { position += 1 }
    return position
  }
}

/// `\s+$`: the white space at the end of a segment.
struct TrailingSpacePass: TextPass {
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, text.classes[position].meets(.space) { position += 1 }
    return position == end ? end : start
  }
}

/// `set+`, with an optional character in front: `\s?set+` or ` ?set+`.
struct RunPass: TextPass {
  enum Lead: Sendable { case none, space, anyWhitespace }

  var lead = Lead.none
  var set: ScalarSet

  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    var position = start
    switch lead {
    case .none: break
    case .space: if text.scalars[start] == 0x20 { position += 1 }
    case .anyWhitespace: if text.classes[start].meets(.space) { position += 1 }
    }
    let first = position
    while position < end, set.contains(text.scalars[position], text.classes[position]) {
      position += 1
    }
    if position > first { return position }
    // The lead character may belong to the set and match alone.
    return set.contains(text.scalars[start], text.classes[start]) ? start + 1 : start
  }
}

/// A bracket expression of a regular expression: classes and ranges, less some, perhaps negated.
struct ScalarSet: Sendable {
  var classes: CharacterClass = []
  var ranges: [ClosedRange<UInt32>] = []
  var except: [ClosedRange<UInt32>] = []
  var negated = false

  @inline(__always)
  func contains(_ scalar: UInt32, _ characterClass: CharacterClass) -> Bool {
    let member =
      (characterClass.meets(classes) || ranges.contains { $0.contains(scalar) })
      && !except.contains { $0.contains(scalar) }
    return member != negated
  }
}
