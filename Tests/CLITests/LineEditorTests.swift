import CLI
import Testing

/// The editor as a state machine: bytes go in; text, cursor and requests come out.
@Suite struct LineEditorTests {
  private struct Typist {
    var decoder = KeyDecoder()
    var editor: LineEditor
    var requests: [LineEditor.Request] = []

    init(history: [String] = []) { editor = LineEditor(history: history) }

    mutating func type(_ bytes: [UInt8]) {
      for byte in bytes {
        guard let key = decoder.decode(byte) else { continue }
        let request = editor.press(key)
        if request != .show { requests.append(request) }
      }
    }

    mutating func type(_ text: String) { type(Array(text.utf8)) }

    /// The text with the cursor as a bar.
    var shown: String { editor.before + "|" + editor.after }
  }

  private func typed(_ text: String, history: [String] = []) -> Typist {
    var typist = Typist(history: history)
    typist.type(text)
    return typist
  }

  @Test(arguments: [
    ("hello", "hello|"),
    ("ab\u{1B}[Dc", "ac|b"),
    ("ab\u{02}\u{02}\u{02}c", "c|ab"),
    ("ab\u{1B}[D\u{1B}[C\u{06}c", "abc|"),
    ("ab\u{1B}[Hc\u{1B}[Fd", "cabd|"),
    ("ab\u{1B}OHc\u{1B}OFd", "cabd|"),
    ("ab\u{1B}[1~c\u{1B}[4~d", "cabd|"),
    ("ab\u{01}c\u{05}d", "cabd|"),
    ("one two three\u{1B}b\u{1B}bX", "one X|two three"),
    ("one two three\u{1B}[1;5D\u{1B}[1;3DX", "one X|two three"),
    ("one two\u{01}\u{1B}f\u{1B}fX", "one twoX|"),
    ("one two\u{01}\u{1B}[1;5CX", "oneX| two"),
    ("abc\u{7F}\u{08}", "a|"),
    ("abc\u{01}\u{1B}[3~\u{04}", "|c"),
    ("one two  \u{17}", "one |"),
    ("one two\u{1B}\u{7F}", "one |"),
    ("one two\u{01}\u{1B}d", "| two"),
    ("one two\u{01}\u{1B}[3;5~", "| two"),
    ("one two\u{1B}b\u{15}", "|two"),
    ("one two\u{1B}b\u{0B}", "one |"),
    ("one two\u{1B}b\u{0B}\u{01}\u{19} ", "two |one "),
    ("a\u{1B}[5~\u{1B}[15~\u{1B}[I\u{00}\u{1B}xb", "ab|"),
    ("a\\\rb", "a\nb|"),
    ("a\u{1B}\rb\u{1B}[13;2uc\u{1B}[27;2;13~d", "a\nb\nc\nd|"),
    ("\u{1B}[200~one\r\ntwo\rthree\n\u{1B}[31m\tend\u{1B}[201~!", "one\ntwo\nthree\n[31m\tend!|"),
    // Characters of several scalars are one step.
    ("e\u{301}x\u{7F}\u{7F}", "|"),
    ("日本\u{1B}[D語", "日語|本"),
    ("👨‍👩‍👧\u{1B}[Da", "a|👨‍👩‍👧"),
    // Up and down keep the column.
    ("long line\u{1B}\rab\u{1B}[AX", "loX|ng line\nab"),
    ("ab\u{1B}\rlong line\u{1B}[A\u{1B}[A", "ab|\nlong line"),
    ("abcd\u{1B}\rab\u{1B}[A\u{1B}[C\u{1B}[C\u{1B}[BX", "abcd\nabX|"),
  ])
  func keysEdit(bytes: String, shown: String) { #expect(typed(bytes).shown == shown) }

  @Test func keysAsk() {
    #expect(typed("hi\r").requests == [.submit("hi")])
    #expect(typed("hi\n").requests == [.submit("hi")])
    #expect(typed("a\\\rb\r").requests == [.submit("a\nb")])
    #expect(typed("\r").requests == [.submit("")])
    #expect(typed("\u{04}").requests == [.end])
    #expect(typed("ab\u{04}").requests == [])
    #expect(typed("ab\u{03}").requests == [.interrupt])
    #expect(typed("\u{0C}\u{1A}").requests == [.clearScreen, .suspend])
    #expect(typed("\u{1B}[200~a\r\nb\u{1B}[201~\r").requests == [.submit("a\nb")])
  }

  @Test func historyComesAndTheDraftStays() {
    var typist = typed("new", history: ["first", "second\nline"])
    typist.type("\u{1B}[A")
    #expect(typist.shown == "second\nline|")
    typist.type("\u{1B}[A\u{10}\u{1B}[A")
    #expect(typist.shown == "first|")
    typist.type("\u{0E}\u{1B}[B\u{1B}[B")
    #expect(typist.shown == "new|")
    typist.type("\u{1B}[A\u{1B}[A\u{1B}[A!\r")
    #expect(typist.requests == [.submit("first!")])
    typist.editor.remember("first!")
    typist.editor.remember("first!")
    typist.editor.remember("")
    #expect(typist.editor.history == ["first", "second\nline", "first!"])
    typist.type("\u{1B}[A")
    #expect(typist.shown == "first!|")
  }

  @Test func brokenBytesAreSurvived() {
    var typist = Typist()
    typist.type([0x61, 0xC3, 0x62, 0xFF, 0x80, 0xE2, 0x82, 0x0D])
    #expect(typist.requests == [.submit("ab\u{FFFD}\u{FFFD}")])
    // Anything at all: no trap, and the decoder comes back to plain text.
    var state: UInt64 = 7
    for _ in 0..<200_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      typist.type([UInt8(truncatingIfNeeded: state >> 33)])
      if typist.editor.text.count > 200 { typist.editor.clear() }
    }
    typist.type("\u{1B}[201~")
    typist.type("~~\u{1B}[201~~\u{15}\u{15}")
    typist.editor.clear()
    typist.type("fine")
    #expect(typist.shown == "fine|")
  }
}

@Suite struct LineViewTests {
  private func layout(_ before: String, _ after: String = "", columns: Int = 10) -> LineLayout {
    LineLayout(prompt: "> ", before: before, after: after, columns: columns)
  }

  @Test func textIsBrokenWhereTheTerminalBreaksIt() {
    let short = layout("abc")
    #expect(short.rows == ["> abc"] && short.cursorRow == 0 && short.cursorColumn == 5)
    let full = layout("abcdefgh")
    #expect(full.rows == ["> abcdefgh", ""] && full.cursorRow == 1 && full.cursorColumn == 0)
    let long = layout("abcdefghij", "k")
    #expect(long.rows == ["> abcdefgh", "ijk"] && long.cursorRow == 1 && long.cursorColumn == 2)
    let lines = layout("ab\ncd", "\nef")
    #expect(lines.rows == ["> ab", "  cd", "  ef"])
    #expect(lines.cursorRow == 1 && lines.cursorColumn == 4)
  }

  @Test func wideCharactersAreNotCut() {
    let wide = layout("日本語日本")
    #expect(wide.rows == ["> 日本語日", "本"] && wide.cursorColumn == 2)
    let odd = layout("a日本語日")
    #expect(odd.rows == ["> a日本語", "日"] && odd.cursorRow == 1 && odd.cursorColumn == 2)
    #expect(layout("e\u{301}").cursorColumn == 3)
    #expect(layout("👍").cursorColumn == 4 && layout("❤️").cursorColumn == 4)
    #expect(layout("\t").cursorColumn == 6)
    #expect("한글 kana カナ ｆ".terminalWidth == 17)
  }

  @Test func drawingReturnsToWhereItBegan() {
    var view = LineView()
    let first = view.draw(layout("abcdefghij", "k"), height: 24)
    #expect(first == "\r\u{1B}[J> abcdefgh\r\nijk\r\u{1B}[2C")
    // One row up to the prompt, since the cursor was left in the second row.
    #expect(view.draw(layout("a", "b"), height: 24) == "\u{1B}[1A\r\u{1B}[J> ab\r\u{1B}[3C")
    #expect(view.leave() == "\r\n")
    _ = view.draw(layout("a", "\nb\nc"), height: 24)
    #expect(view.leave() == "\u{1B}[2B\r\n")
  }

  @Test func aTextHigherThanTheTerminalIsShownAroundTheCursor() {
    var view = LineView()
    let text = (1...50).map(String.init).joined(separator: "\n")
    let drawn = view.draw(layout(text), height: 5)
    #expect(drawn.contains("50") && !drawn.contains("45"))
    #expect(view.erase() == "\u{1B}[4A\r\u{1B}[J")
  }
}
