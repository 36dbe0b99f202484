/// The family of Llama 3, Qwen 2, GPT-4o and DeepSeek 3: one long alternation, whose parts differ
/// from model to model. The parts are tried in this order:
///
///     'contraction                       contractions == .before
///     [ASCII punctuation][A-Za-z]+       punctuatedWords
///     [^lead]?letters+ ('contraction)?   lead, letters, splitsCase, contractions == .after
///     \p{N}{1,numbers}                   0: none
///      ?others+ tail*                    others, tail
///     \s*[\r\n]+                         or [\r\n] alone, with singleLineBreaks
///     \s+(?!\S) | \s+
struct WordPass: TextPass {
  enum Contractions: Sendable { case none, before, after }
  enum Tail: Sendable { case none, lineBreaks, lineBreaksAndSlashes }

  var contractions = Contractions.before
  var punctuatedWords = false
  /// The classes that may not be the one character in front of a word.
  var leadExcludes: CharacterClass = [.newline, .letter, .number]
  var letters: CharacterClass = .letter
  /// Words end before an upper-case letter that follows a lower-case one.
  var splitsCase = false
  var numbers = 1
  var others = ScalarSet(classes: [.space, .letter, .number], negated: true)
  var tail = Tail.lineBreaks
  var singleLineBreaks = false

  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    if contractions == .before {
      let position = Contraction.end(text, start, end, anyCase: true)
      if position > start { return position }
    }
    if punctuatedWords {
      let position = punctuatedWord(text, start, end)
      if position > start { return position }
    }
    let word = splitsCase ? casedWord(text, start, end) : plainWord(text, start, end)
    if word > start { return word }

    var position = start
    while position < end, text.classes[position].meets(.number), position - start < numbers {
      position += 1
    }
    if position > start { return position }

    position = otherRun(text, start, end)
    return position > start ? position : whitespace(text, start, end)
  }

  private func plainWord(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    var position = start
    if !text.classes[start].meets(leadExcludes), start + 1 < end,
      text.classes[start + 1].meets(letters)
    {
      position += 1
    }
    while position < end, text.classes[position].meets(letters) { position += 1 }
    return position
  }

  /// `[lead]?U*L+` or `[lead]?U+L*`, where U and L are upper and lower case and both hold the letters
  /// without case and the marks.
  private func casedWord(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    let hasLead = !text.classes[start].meets(leadExcludes) && start + 1 < end
    let afterLead = hasLead ? start + 1 : start
    for first in [afterLead, start] {
      let position = lowerEnding(text, first, end)
      if position > first { return suffixed(text, position, end) }
    }
    for first in [afterLead, start] {
      let uppers = run(text, first, end, [.upper, .uncased, .mark])
      if uppers > first {
        return suffixed(text, run(text, uppers, end, [.lower, .uncased, .mark]), end)
      }
    }
    return start
  }

  /// `U*L+` with the backtracking of a regular expression: if no L follows the run of U, the last
  /// character of that run which is also in L ends the word.
  private func lowerEnding(_ text: ScalarText, _ first: Int, _ end: Int) -> Int {
    let uppers = run(text, first, end, [.upper, .uncased, .mark])
    if uppers < end, text.classes[uppers].meets(.lower) {
      return run(text, uppers, end, [.lower, .uncased, .mark])
    }
    var last = uppers
    while last > first, !text.classes[last - 1].meets([.uncased, .mark]) { last -= 1 }
    return last
  }

  private func run(
    _ text: ScalarText, _ first: Int, _ end: Int, _ classes: CharacterClass
  ) -> Int {
    var position = first
    while position < end, text.classes[position].meets(classes) { position += 1 }
    return position
  }

  private func suffixed(_ text: ScalarText, _ position: Int, _ end: Int) -> Int {
    contractions == .after && position < end
      ? Contraction.end(text, position, end, anyCase: true) : position
  }

  private func punctuatedWord(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    guard text.scalars[start] < 0x80, text.classes[start].meets([.punctuation, .symbol]) else {
      return start
    }
    var position = start + 1
    while position < end, text.scalars[position] < 0x80, text.classes[position].meets(.letter) {
      position += 1
    }
    return position > start + 1 ? position : start
  }

  private func otherRun(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    var position = text.scalars[start] == 0x20 ? start + 1 : start
    let first = position
    while position < end, others.contains(text.scalars[position], text.classes[position]) {
      position += 1
    }
    guard position > first else { return start }
    switch tail {
    case .none: break
    case .lineBreaks:
      while position < end, text.classes[position].meets(.newline) { position += 1 }
    case .lineBreaksAndSlashes:
      while position < end,
        text.classes[position].meets(.newline) || text.scalars[position] == 0x2F
      {
        position += 1
      }
    }
    return position
  }

  private func whitespace(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    if singleLineBreaks, text.classes[start].meets(.newline) { return start + 1 }
    var position = start
    var afterBreak = start
    while position < end, text.classes[position].meets(.space) {
      position += 1
      if text.classes[position - 1].meets(.newline) { afterBreak = position }
    }
    if !singleLineBreaks, afterBreak > start { return afterBreak }
    // The last space of a run belongs to the word behind it.
    return position == end || position - start <= 1 ? position : position - 1
  }
}
