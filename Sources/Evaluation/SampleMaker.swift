/// Makes samples out of a text. Two makers with the same values make the same samples, so that policies
/// can be compared sample by sample.
package struct SampleMaker: Sendable {
  private let text: [Int32]
  /// What a prompt begins with in place of its first token.
  private let bos: Int32?
  private let context: Int
  private let windows: Int
  private let seed: UInt64

  /// - Parameters:
  ///   - text: Its tokens.
  ///   - bos: What prompts begin with, where the model wants that.
  ///   - context: Tokens of a prompt.
  ///   - windows: Samples to make.
  ///   - seed: What chance begins with.
  /// - Throws: ``SampleError`` where there would be nothing to compare.
  package init(
    text: [Int32], bos: Int32?, context: Int, windows: Int, seed: UInt64
  ) throws(SampleError) {
    guard windows >= 2 else { throw .tooFewWindows(windows) }
    guard context >= 2 else { throw .contextTooShort(context, least: 2) }
    (self.text, self.bos, self.context) = (text, bos, context)
    (self.windows, self.seed) = (windows, seed)
  }

  /// Where windows begin, spread evenly over the text: they overlap only where it is short, and what is
  /// scored in them, the last `apart` tokens, never does.
  private func starts(length: Int, apart: Int) throws(SampleError) -> [Int] {
    let needed = length + apart * (windows - 1)
    guard text.count >= needed else {
      throw .textTooShort(tokens: text.count, needed: needed, windows: windows)
    }
    return (0..<windows).map { $0 * (text.count - length) / (windows - 1) }
  }

  private func stretch(_ start: Int, _ count: Int) -> [Int32] {
    var part = Array(text[start..<start + count])
    if let bos, !part.isEmpty { part[0] = bos }
    return part
  }

  /// A text and how it goes on. `score` tokens are fed, and each is asked for the next.
  package func continuation(score: Int) throws(SampleError) -> [Sample] {
    guard score > 0 else { throw .nothingScored(score) }
    let length = context + score + 1
    return try starts(length: length, apart: score + 1).map { start in
      Sample(
        tokens: stretch(start, length), prompt: context, scored: context + 1..<length)
    }
  }

  /// The text in windows of `context` tokens that follow one another; of each the second half is fed, as
  /// `apus perplexity` does.
  package func perplexity() throws(SampleError) -> [Sample] {
    guard context >= 4 else { throw .contextTooShort(context, least: 4) }
    guard text.count >= windows * context else {
      throw .textTooShort(tokens: text.count, needed: windows * context, windows: windows)
    }
    let half = context / 2
    return (0..<windows).map { window in
      Sample(
        tokens: stretch(window * context, context), prompt: half, scored: half + 1..<context)
    }
  }

  /// A text and behind it a part of it once more: `copied` tokens from anywhere. The first `cue` of them
  /// tell from where; the others are scored. With `cueInPrompt` the cue is a part of the prompt, but for its last
  /// token: then who decides behind the prompt what to keep has seen what will be asked for.
  package func copy(copied: Int, cue: Int, cueInPrompt: Bool = false) throws(SampleError)
    -> [Sample]
  {
    guard copied > 0 else { throw .nothingScored(copied) }
    guard cue > 0, cue < copied else { throw .senselessCue(cue, copied: copied) }
    guard context > copied else { throw .contextTooShort(context, least: copied + 1) }
    var chance = SeededNumbers(seed: seed)
    return try starts(length: context, apart: 0).map { start in
      let prompt = stretch(start, context)
      // Not the first token, which may stand for the beginning of a text.
      let from = Int.random(in: 1...context - copied, using: &chance)
      return Sample(
        tokens: prompt + prompt[from..<from + copied],
        prompt: context + (cueInPrompt ? cue - 1 : 0),
        scored: context + cue..<context + copied)
    }
  }

  /// A text with one number in it, window by window further behind, and a question for it.
  package func passkey(encode: (String) -> [Int32]) throws(SampleError) -> [Sample] {
    var chance = SeededNumbers(seed: seed)
    return try questions(encode) { window in
      let key = Self.number(&chance)
      return Riddle(
        hidden: ["\nThe pass key is \(key). Remember it: \(key) is the pass key.\n"],
        depths: [(Double(window) + 0.5) / Double(windows)],
        question: "\nWhat is the pass key? The pass key is", answer: " \(key)")
    }
  }

  /// A text with a number for each of eight names, spread over it, and a question for one of them.
  package func recall(encode: (String) -> [Int32]) throws(SampleError) -> [Sample] {
    var chance = SeededNumbers(seed: seed)
    let names = ["Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Henry"]
    return try questions(encode) { _ in
      let people = names.shuffled(using: &chance)
      let numbers = people.map { _ in Self.number(&chance) }
      let asked = Int.random(in: people.indices, using: &chance)
      return Riddle(
        hidden: zip(people, numbers).map { "\nThe number of \($0) is \($1).\n" },
        depths: people.indices.map { (Double($0) + 0.5) / Double(people.count) },
        question: "\nThe number of \(people[asked]) is", answer: " \(numbers[asked])")
    }
  }

  /// Five digits.
  private static func number(_ chance: inout SeededNumbers) -> Int {
    Int.random(in: 10_000...99_999, using: &chance)
  }

  private struct Riddle {
    var hidden: [String]
    /// Where each is hidden, as a share of the text, in order.
    var depths: [Double]
    var question: String
    var answer: String
  }

  /// The question is fed like the answer: a prompt that knows it would keep the answer at hand.
  private func questions(
    _ encode: (String) -> [Int32], _ riddle: (Int) -> Riddle
  ) throws(SampleError) -> [Sample] {
    let riddles = (0..<windows).map(riddle)
    var samples: [Sample] = []
    for (window, riddle) in riddles.enumerated() {
      let hidden = riddle.hidden.map(encode)
      let whole = encode(riddle.question + riddle.answer)
      // Tokens may join the last word of a question and the first of its answer.
      let asked = max(
        1, zip(encode(riddle.question), whole).prefix { $0 == $1 }.count)
      let filler = context - hidden.reduce(0) { $0 + $1.count }
      guard filler >= 2, whole.count > asked else {
        throw .contextTooShort(context, least: context - filler + 2)
      }
      let start = try starts(length: filler, apart: 0)[window]
      let text = stretch(start, filler)
      var prompt: [Int32] = []
      var done = 0
      for (needle, depth) in zip(hidden, riddle.depths) {
        let place = max(1, Int(depth * Double(filler)))
        prompt += text[done..<place] + needle
        done = place
      }
      prompt += text[done...]
      samples.append(
        Sample(
          tokens: prompt + whole, prompt: context,
          scored: context + asked..<context + whole.count))
    }
    return samples
  }
}
