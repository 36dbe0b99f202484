import Sampling
import Scheduling

/// What a draft model has read of a text, for the time of one request. The draft is a model of its own, with a loop and
/// pages of its own; tokens of it that were not picked are taken back when it reads on.
struct Draft {
  private let loop: EngineLoop
  private var sequence: Sequence
  private var pace: ProposalPace
  private let shares: Bool
  /// Whether the latest guess was to have tokens.
  private var guessed = false

  /// Begins a request.
  ///
  /// - Parameters:
  ///   - loop: The draft model.
  ///   - prompt: The tokens so far.
  ///   - most: Tokens at most that are proposed at once.
  ///   - shares: Whether keys and values are taken from texts that began alike, and left for others.
  init(_ loop: EngineLoop, prompt: [Int32], most: Int, shares: Bool) {
    self.loop = loop
    self.shares = shares
    sequence = loop.begin(prompt, shares: shares)
    pace = ProposalPace(most: most, isFree: false)
  }

  /// Tokens that may come next: those that the draft would pick by the random numbers that the target will pick by.
  /// So both pick the same one wherever they hold the same for likely, though each picks by its own logits.
  ///
  /// - Parameters:
  ///   - tokens: The text so far.
  ///   - sampler: What picks the target's next token, as it stands.
  ///   - room: Tokens at most.
  ///   - vocabulary: Tokens from this one on are none of the target's.
  ///   - endTokens: Nothing follows them, so nothing from one of them on is worth a row.
  ///   - isCancelled: Asked before every step of the draft.
  /// - Returns: None where guesses did not pay lately, and where the draft has no room for the text.
  /// - Throws: ``EngineError`` where the draft's device fails.
  mutating func propose(
    behind tokens: [Int32], _ sampler: Sampler, room: Int, vocabulary: Int, endTokens: Set<Int32>,
    isCancelled: () -> Bool
  ) throws(EngineError) -> [Int32] {
    var sampler = sampler
    var text = tokens
    let count = pace.next(room: room)
    guessed = count > 0
    while text.count < tokens.count + count, canRead(text) {
      sequence.become(text, pool: &loop.pool)
      var picked: Int32?
      try loop.advance(&sequence, isCancelled: isCancelled) { _, logits throws(EngineError) in
        // A draft that computes no numbers guesses nothing; whether the target does is told elsewhere.
        if logits.contains(where: { !$0.isNaN }) {
          picked = sampler.pick(Array(logits), history: text)
        }
      }
      guard let picked, Int(picked) < vocabulary, !endTokens.contains(picked) else { break }
      text.append(picked)
    }
    return Array(text[tokens.count...])
  }

  /// Whether the draft has a place and an embedding for each token.
  private func canRead(_ text: [Int32]) -> Bool {
    text.count <= loop.contextLength && text.allSatisfy { Int($0) < loop.vocabularySize }
  }

  /// Learns what came of a step: how many of the tokens that were proposed were right, and how long it took with the
  /// guessing.
  mutating func learn(accepted: Int, of proposed: Int, took duration: Duration) {
    // A guess that came to nothing says neither what guessing brings nor how long a step takes.
    guard proposed > 0 || !guessed else { return }
    pace.learn(accepted: accepted, of: proposed, took: duration)
  }

  /// Ends the request: what the draft has read of its tokens stays for others, as the target's does.
  mutating func end(_ tokens: [Int32], isSound: Bool) {
    let common = zip(sequence.tokens, tokens).prefix { $0 == $1 }.count
    sequence.truncate(to: common, pool: &loop.pool)
    loop.end(&sequence, shares: shares, isSound: isSound)
  }
}

/// What guesses the tokens of a request: what followed in the text where its last tokens occurred before, or a draft
/// model.
struct Guesser {
  var lookup: Speculator?
  var draft: Draft?

  /// Goes on with a token that was picked. A draft reads the text when it is asked.
  mutating func append(_ token: Int32) { lookup?.append(token) }

  mutating func learn(accepted: Int, of proposed: Int, took duration: Duration) {
    lookup?.learn(accepted: accepted, of: proposed, took: duration)
    draft?.learn(accepted: accepted, of: proposed, took: duration)
  }
}
