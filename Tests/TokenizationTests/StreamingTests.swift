import Testing
import Tokenization

struct StreamingTests {
  private func ids(_ bytes: [UInt8]) -> [Int32] { bytes.map { Int32($0) } }

  @Test func charactersAppearWhenTheyAreComplete() throws {
    var stream = StreamingDetokenizer(try Tokenizer(SmallVocabularies.bytePair()))
    let pieces = ids(Array("a🦙é".utf8)).map { stream.append($0) }
    #expect(pieces == ["a", "", "", "", "🦙", "", "é"])
    #expect(stream.finish() == "")
  }

  @Test func whatIsNeverCompletedBecomesAReplacementCharacter() throws {
    var stream = StreamingDetokenizer(try Tokenizer(SmallVocabularies.bytePair()))
    #expect(ids([0xF0, 0x9F, 0xA6]).map { stream.append($0) } == ["", "", ""])
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.finish() == "")
    #expect(ids([0x80, 0x41]).map { stream.append($0) } == ["\u{FFFD}", "A"])
    #expect(ids([0xE2, 0x41]).map { stream.append($0) } == ["", "\u{FFFD}A"])
  }

  /// The stream must give what the bytes give as a whole, however they are cut.
  @Test(
    arguments: [
      [0xF0, 0x9F, 0x68, 0xE2, 0x82, 0xAC, 0xFF], [0xED, 0xA0, 0x80, 0x41], [0xE0, 0x80, 0x41],
      [0xF4, 0x90, 0x80, 0x80], [0xC3, 0xC3, 0xA9], [0xF0, 0x80, 0x80, 0x80, 0x41],
    ] as [[UInt8]])
  func theStreamEqualsTheWhole(bytes: [UInt8]) throws {
    var stream = StreamingDetokenizer(try Tokenizer(SmallVocabularies.bytePair()))
    let text = ids(bytes).map { stream.append($0) }.joined() + stream.finish()
    #expect(Array(text.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8))
  }

  /// Any tokens over any bytes: what has come out is at every moment the beginning of what the bytes
  /// say as a whole, and of a sound text never a replacement character.
  @Test func nothingBrokenIsEverShown() throws {
    var random = SystemRandomNumberGenerator()
    func character() -> [UInt8] {
      let widths: [ClosedRange<UInt32>] = [
        0x20...0x7E, 0xA0...0x7FF, 0x800...0xD7FF, 0x1_0000...0x10_FFFF,
      ]
      let code = UInt32.random(in: widths.randomElement() ?? 0x20...0x7E, using: &random)
      return Unicode.Scalar(code).map { Array(String($0).utf8) } ?? [0x20]
    }
    for round in 0..<300 {
      let isSound = round % 2 == 0
      let bytes = (0..<40).flatMap { _ -> [UInt8] in
        isSound || Bool.random(using: &random) ? character() : [UInt8.random(in: 0x80...0xFF)]
      }
      // Tokens of one to five bytes, which end wherever they do.
      var pieces: [ArraySlice<UInt8>] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        pieces.append(rest.prefix(Int.random(in: 1...5, using: &random)))
        rest = rest.dropFirst(pieces.last?.count ?? 1)
      }
      let spelled = pieces.map { $0.map { SmallVocabularies.alphabet[Int($0)] }.joined() }
      var description = SmallVocabularies.bytePair(specials: [])
      (description.bos, description.addBOS) = (nil, nil)
      let first = Int32(description.tokens.count)
      description.tokens += spelled
      description.tokenTypes += [Int32](repeating: 1, count: spelled.count)
      var stream = StreamingDetokenizer(try Tokenizer(description))
      let whole = Array(String(decoding: bytes, as: UTF8.self).utf8)
      var shown: [UInt8] = []
      for index in pieces.indices {
        let piece = stream.append(first + Int32(index))
        #expect(!isSound || !piece.unicodeScalars.contains("\u{FFFD}"))
        shown += Array(piece.utf8)
        #expect(whole.starts(with: shown), "\(bytes)")
      }
      #expect(shown + Array(stream.finish().utf8) == whole, "\(bytes)")
    }
  }

  @Test func controlTokensAreSilentUnlessAsked() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    let end = try #require(tokenizer.encode("<|im_end|>", parseSpecial: true).first)
    var silent = StreamingDetokenizer(tokenizer)
    #expect(silent.append(end) == "")
    var shown = StreamingDetokenizer(tokenizer, showControl: true)
    #expect(shown.append(end) == "<|im_end|>")
    #expect(shown.append(Int32.max) == "")
  }

  @Test func stopStringsAreNeverShown() {
    var matcher = StopMatcher(["\n\nUser:", "END"])
    #expect(matcher.append("Hello\n").text == "Hello")
    #expect(matcher.append("\nUs").text == "")
    #expect(matcher.append("ually").text == "\n\nUsually")
    #expect(matcher.append(" the EN") == .init(text: " the ", stop: nil))
    #expect(matcher.append("D of it") == .init(text: "", stop: "END"))
    #expect(matcher.append("more") == .init(text: "", stop: nil))
    #expect(matcher.finish() == "")
  }

  @Test func theStopThatBeginsFirstCounts() {
    var matcher = StopMatcher(["b", "abc", "abcd"])
    #expect(matcher.append("xabcd") == .init(text: "x", stop: "abcd"))
    var overlapping = StopMatcher(["aab"])
    #expect(overlapping.append("aa").text == "")
    #expect(overlapping.append("a").text == "a")
    #expect(overlapping.append("b") == .init(text: "", stop: "aab"))
  }

  @Test func textHeldBackComesAtTheEnd() {
    var matcher = StopMatcher(["stop", ""])
    #expect(matcher.append("do st").text == "do ")
    #expect(matcher.finish() == "st")
    var none = StopMatcher([])
    #expect(none.append("text") == .init(text: "text", stop: nil))
  }
}
