import Evaluation
import Testing

/// Samples are what they claim to be.
@Suite struct SampleTests {
  /// A text whose tokens say where they are.
  private let text = (0..<1000).map { Int32($0) }

  private func maker(
    _ context: Int, windows: Int = 4, bos: Int32? = nil, seed: UInt64 = 1, text: [Int32]? = nil
  ) throws -> SampleMaker {
    try SampleMaker(
      text: text ?? self.text, bos: bos, context: context, windows: windows, seed: seed)
  }

  /// Letters as tokens.
  private func encode(_ words: String) -> [Int32] { words.utf8.map { Int32($0) } }

  private func words(_ tokens: some Sequence<Int32>) -> String {
    String(decoding: tokens.map { $0 < 128 ? UInt8($0) : UInt8(ascii: "?") }, as: UTF8.self)
  }

  @Test func continuationsAreTheTextAsItGoesOn() throws {
    let samples = try maker(100).continuation(score: 9)
    #expect(samples.count == 4)
    for sample in samples {
      #expect(sample.prompt == 100 && sample.tokens.count == 110)
      // The first behind the prompt is predicted by the prompt alone.
      #expect(sample.scored == 101..<110)
      let start = Int(sample.tokens[0])
      #expect(sample.tokens == Array(text[start..<start + 110]))
    }
    #expect(samples.first?.tokens.first == 0 && samples.last?.tokens.last == 999)
    // Long windows overlap, scored tokens never do.
    let near = try maker(900).continuation(score: 24)
    let scored = near.flatMap { $0.tokens[$0.scored] }
    #expect(Set(scored).count == 4 * 24)
    #expect(throws: SampleError.textTooShort(tokens: 1000, needed: 1001, windows: 4)) {
      try maker(901).continuation(score: 24)
    }
  }

  @Test func windowsOfAPerplexityFollowOneAnother() throws {
    let samples = try maker(250).perplexity()
    #expect(samples.flatMap(\.tokens) == text)
    for sample in samples { #expect(sample.prompt == 125 && sample.scored == 126..<250) }
    #expect(try maker(4, windows: 2).perplexity().map(\.scored) == [3..<4, 3..<4])
    #expect(throws: SampleError.textTooShort(tokens: 1000, needed: 1004, windows: 4)) {
      try maker(251).perplexity()
    }
    #expect(throws: SampleError.contextTooShort(3, least: 4)) { try maker(3).perplexity() }
  }

  @Test func promptsBeginAsTheModelWants() throws {
    for sample in try maker(50, bos: 7777).continuation(score: 5) {
      #expect(sample.tokens[0] == 7777 && sample.tokens[1] > 0)
      #expect(sample.tokens.dropFirst().allSatisfy { $0 != 7777 })
    }
    for sample in try maker(20, windows: 50, bos: 7777).copy(copied: 10, cue: 5) {
      #expect(sample.tokens.count { $0 == 7777 } == 1)
    }
  }

  @Test func copiesAreFromAnywhereInThePrompt() throws {
    let samples = try maker(200, windows: 64).copy(copied: 16, cue: 6)
    var places: [Int] = []
    for sample in samples {
      #expect(sample.prompt == 200 && sample.tokens.count == 216 && sample.scored == 206..<216)
      let place = Int(sample.tokens[200] - sample.tokens[0])
      #expect((1...184).contains(place))
      #expect(Array(sample.tokens[200...]) == Array(sample.tokens[place..<place + 16]))
      places.append(place)
    }
    // All over it, not at one end.
    #expect(places.contains { $0 < 46 } && places.contains { $0 > 138 })
    #expect(places.contains { (46...138).contains($0) })
    #expect(try maker(200, windows: 64).copy(copied: 16, cue: 6) == samples)
    // The cue may be the end of the prompt: the same tokens are scored.
    let late = try maker(200, windows: 64).copy(copied: 16, cue: 6, cueInPrompt: true)
    #expect(late.map(\.tokens) == samples.map(\.tokens))
    #expect(late.allSatisfy { $0.prompt == 205 } && late.map(\.scored) == samples.map(\.scored))
    #expect(try maker(200, windows: 64, seed: 2).copy(copied: 16, cue: 6) != samples)
  }

  @Test func keysAreHiddenFurtherAndFurtherBehind() throws {
    let samples = try maker(300, windows: 8).passkey(encode: encode)
    var depths: [Int] = []
    for sample in samples {
      let answer = words(sample.tokens[sample.scored])
      #expect(answer.count == 6 && answer.first == " ")
      let key = answer.dropFirst()
      let needle = encode("\nThe pass key is \(key). Remember it: \(key) is the pass key.\n")
      let depth = try #require(
        sample.tokens.indices.first { sample.tokens[$0...].starts(with: needle) })
      depths.append(depth)
      #expect(sample.prompt == 300 && depth + needle.count <= 300)
      // The rest of the prompt is the text without a gap.
      let rest = Array(sample.tokens[..<depth] + sample.tokens[(depth + needle.count)..<300])
      let start = Int(sample.tokens[0])
      #expect(rest == Array(text[start..<start + rest.count]))
      #expect(
        words(sample.tokens[300..<sample.scored.lowerBound])
          == "\nWhat is the pass key? The pass key is")
    }
    #expect(depths == depths.sorted() && Set(depths).count == 8)
    #expect((depths.first ?? 300) < 30 && (depths.last ?? 0) > 200)
  }

  @Test func oneOfEightNumbersIsAsked() throws {
    // No token of this text is a letter.
    let samples = try maker(900, windows: 32, text: text.map { $0 + 500 }).recall(encode: encode)
    var places: Set<Int> = []
    for sample in samples {
      let question = words(sample.tokens[900...])
      let prompt = words(sample.tokens[..<900])
      let lines = prompt.split(separator: "\n").filter { $0.hasPrefix("The number of ") }
      #expect(lines.count == 8 && Set(lines).count == 8)
      let place = try #require(lines.firstIndex { "\n\($0)" == question + "." })
      places.insert(place)
      let answer = words(sample.tokens[sample.scored])
      #expect(answer.count == 6 && question.hasSuffix(answer))
    }
    #expect(places.count > 4)
  }

  @Test func whatCannotBeIsASentence() throws {
    #expect(throws: SampleError.tooFewWindows(1)) { try maker(10, windows: 1) }
    #expect(throws: SampleError.nothingScored(0)) { try maker(10).continuation(score: 0) }
    #expect(throws: SampleError.senselessCue(8, copied: 8)) {
      try maker(100).copy(copied: 8, cue: 8)
    }
    #expect(throws: SampleError.contextTooShort(16, least: 17)) {
      try maker(16).copy(copied: 16, cue: 4)
    }
    #expect(throws: SampleError.textTooShort(tokens: 3, needed: 100, windows: 4)) {
      try maker(100, text: [1, 2, 3]).copy(copied: 16, cue: 4)
    }
    #expect(throws: SampleError.self) { try maker(40).passkey(encode: encode) }
    #expect(throws: SampleError.self) { try maker(100).recall(encode: encode) }
    #expect(
      SampleError.textTooShort(tokens: 3, needed: 100, windows: 4).description
        == "the text has 3 tokens, but 4 windows of this length need 100: give a longer text, fewer "
        + "--windows or a shorter -c")
  }
}
