/// The text being typed, as a value: keys go in, text, cursor and what is asked for come out.
///
/// The text is kept in two halves around the cursor, as strings, so that what a reader takes for one
/// character (a letter with accents, a family of emoji) is one step of the cursor.
package struct LineEditor: Sendable {
  /// What a key asks the owner to do.
  package enum Request: Hashable, Sendable {
    /// Nothing but to show the text.
    case show
    /// The text is complete.
    case submit(String)
    case interrupt
    case end
    case clearScreen
    case suspend
  }

  package private(set) var before = ""
  package private(set) var after = ""
  /// Texts to go back to, the latest last.
  package private(set) var history: [String]
  private var killed = ""
  /// Where in the history the text comes from; its count means that it is new.
  private var place: Int
  /// The new text, while another one is shown.
  private var draft = ""

  /// An empty text.
  package init(history: [String] = []) {
    self.history = history
    place = history.count
  }

  package var text: String { before + after }

  /// Notes a text to go back to, unless it is the last one again. The text being typed is new.
  package mutating func remember(_ text: String) {
    if !text.isEmpty, history.last != text { history.append(text) }
    place = history.count
  }

  /// Begins anew.
  package mutating func clear() {
    (before, after, draft) = ("", "", "")
    place = history.count
  }

  package mutating func press(_ key: Key) -> Request {
    switch key {
    case .text(let text): before += text
    case .newline: before += "\n"
    case .enter: return enter()
    case .left: left()
    case .right: right()
    case .wordLeft: move(wordLeft().count, to: .start)
    case .wordRight: move(wordRight().count, to: .end)
    case .home: move(before.count - lineStart, to: .start)
    case .end: move(restOfLine.count, to: .end)
    case .up: up()
    case .down: down()
    case .backspace: if !before.isEmpty { before.removeLast() }
    case .delete: if !after.isEmpty { after.removeFirst() }
    case .deleteWordLeft: kill(beforeCursor: wordLeft().count)
    case .deleteWordRight: kill(afterCursor: wordRight().count)
    case .killToStart: kill(beforeCursor: before.count - lineStart)
    case .killToEnd: kill(afterCursor: max(restOfLine.count, after.hasPrefix("\n") ? 1 : 0))
    case .yank: before += killed
    case .interrupt: return .interrupt
    case .endOfInput:
      if text.isEmpty { return .end }
      if !after.isEmpty { after.removeFirst() }
    case .clearScreen: return .clearScreen
    case .suspend: return .suspend
    }
    return .show
  }

  private mutating func enter() -> Request {
    // As in a shell: the line goes on where a backslash ends it.
    if after.isEmpty, before.hasSuffix("\\") {
      before.removeLast()
      before += "\n"
      return .show
    }
    let text = text
    clear()
    return .submit(text)
  }

  // MARK: Moving

  private enum Direction { case start, end }

  private mutating func left() {
    guard let character = before.popLast() else { return }
    after = String(character) + after
  }

  private mutating func right() {
    if !after.isEmpty { before.append(after.removeFirst()) }
  }

  private mutating func move(_ count: Int, to direction: Direction) {
    switch direction {
    case .start:
      after = before.suffix(count) + after
      before.removeLast(count)
    case .end:
      before += after.prefix(count)
      after.removeFirst(count)
    }
  }

  private static func isWord(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || character == "_"
  }

  /// Back to the beginning of a word.
  private func wordLeft() -> Substring {
    var rest = before[...]
    while let last = rest.last, !Self.isWord(last) { rest.removeLast() }
    while let last = rest.last, Self.isWord(last) { rest.removeLast() }
    return before[rest.endIndex...]
  }

  /// On to the end of a word.
  private func wordRight() -> Substring {
    let rest = after.drop { !Self.isWord($0) }.drop(while: Self.isWord)
    return after[..<rest.startIndex]
  }

  /// How many characters stand before the cursor's line.
  private var lineStart: Int {
    before.lastIndex(of: "\n").map { before.distance(from: before.startIndex, to: $0) + 1 } ?? 0
  }

  private var restOfLine: Substring { after.prefix { $0 != "\n" } }

  // MARK: Killing

  private mutating func kill(beforeCursor count: Int) {
    guard count > 0 else { return }
    killed = String(before.suffix(count))
    before.removeLast(count)
  }

  private mutating func kill(afterCursor count: Int) {
    guard count > 0 else { return }
    killed = String(after.prefix(count))
    after.removeFirst(count)
  }

  // MARK: Lines and history

  private mutating func up() {
    guard before.contains("\n") else { return show(place - 1) }
    let column = before.count - lineStart
    move(column + 1, to: .start)
    move(max(0, before.count - lineStart - column), to: .start)
  }

  private mutating func down() {
    guard after.contains("\n") else { return show(place + 1) }
    let column = before.count - lineStart
    move(restOfLine.count + 1, to: .end)
    move(min(column, restOfLine.count), to: .end)
  }

  private mutating func show(_ other: Int) {
    guard (0...history.count).contains(other) else { return }
    if place == history.count { draft = text }
    place = other
    before = other == history.count ? draft : history[other]
    after = ""
  }
}
