import Devices
import Planning
import Scheduling

/// What to time: tokens of a prompt that are computed together, or tokens that come one by one, behind
/// `depth` tokens that are in the cache and not counted.
package struct TimingRequest: Sendable {
  package var depth: Int
  package var prompt: Int
  /// Tokens that follow the prompt; each waits for the logits of the one before.
  package var generated: Int
  package var repetitions: Int
  /// Whether a run that is not counted goes first: drivers build kernels when they are first used.
  package var warmsUp: Bool

  package init(depth: Int, prompt: Int, generated: Int, repetitions: Int, warmsUp: Bool) {
    self.depth = depth
    self.prompt = prompt
    self.generated = generated
    self.repetitions = repetitions
    self.warmsUp = warmsUp
  }
}

extension EngineLoop {
  /// Tokens of a warm-up that is generated one by one: enough for every kernel to be built.
  private static let warmUpTokens = 8

  /// Times a request. The tokens are fixed, so nothing is sampled, but logits are read back as they
  /// are when a text is made: of the prompt's last token and of every token behind it.
  ///
  /// - Parameters:
  ///   - request: What to time.
  ///   - isCancelled: Asked before every step.
  ///   - pace: Asked before each repetition that counts, with how long the one before took; it may
  ///     wait, and ends the run with false.
  /// - Returns: How long each repetition took; fewer than asked for where it was cancelled.
  /// - Throws: ``EngineError``; a cache without room for the tokens is one.
  package func time(
    _ request: TimingRequest, isCancelled: () -> Bool = { false },
    pace: (Duration?) -> Bool = { _ in true }
  ) throws(EngineError) -> [Duration] {
    let tokens = fixedTokens(request.depth + request.prompt + request.generated)
    // Speed does not depend on what the model was trained for.
    try check(tokens, prompt: 0)
    forget()
    let base = Array(tokens.prefix(request.depth))
    let prompt = Array(tokens.prefix(request.depth + max(1, request.prompt)))
    var sequence = Sequence(id: 0, tokens: [], pageTokens: KVLayout.pageTokens)
    defer { sequence.release(to: &pool) }
    func fill() throws(EngineError) {
      if base.isEmpty { return }
      // Its last logits are waited for, so that none of its work is left when the clock starts.
      sequence.become(base, pool: &pool)
      // A policy that keeps a part of a prompt decides behind the whole of it.
      if request.prompt > 0 { sequence.generatedFrom = .max }
      try advance(&sequence, isCancelled: isCancelled) { _, _ throws(EngineError) in }
    }
    try fill()
    let clock = ContinuousClock()
    var durations: [Duration] = []
    for repetition in (request.warmsUp ? -1 : 0)..<request.repetitions {
      if sequence.kept != nil, request.prompt > 0 { try fill() }
      // Back to what was filled: a sequence computes its last token anew.
      let first = Array(tokens.prefix(request.depth + 1))
      sequence.become(first, pool: &pool)
      if sequence.computed < request.depth {
        // Layers that look back over a window no longer had it.
        try fill()
        sequence.become(first, pool: &pool)
      }
      if request.prompt > 1 { sequence.become(prompt, pool: &pool) }
      if request.prompt == 0 { sequence.generatedFrom = request.depth }
      let end =
        repetition < 0 ? min(request.generated, Self.warmUpTokens) : request.generated
      let following = tokens[prompt.count...].prefix(max(0, end - (request.prompt == 0 ? 1 : 0)))
      var isSound = true
      if repetition >= 0, !pace(durations.last) { break }
      let start = clock.now
      try advance(&sequence, isCancelled: isCancelled) { _, _ throws(EngineError) in }
      for token in following {
        sequence.append(token)
        try advance(&sequence, isCancelled: isCancelled) { _, logits throws(EngineError) in
          isSound = logits.first?.isNaN == false
        }
      }
      let duration = clock.now - start
      if isCancelled() { break }
      guard isSound else { throw .notANumber(position: sequence.tokens.count - 1) }
      if repetition >= 0 { durations.append(duration) }
    }
    if durations.count == request.repetitions { _ = pace(durations.last) }
    return durations
  }

  /// Bytes a second that the device of the output reads from memory now, or nil where that says nothing.
  package func measureBandwidth() throws(EngineError) -> Double? {
    do throws(DeviceError) {
      return try executor.devices[plan.logits.device].measureRoofline()?.bandwidth
    } catch { throw .device(error) }
  }

  /// Tokens of the vocabulary in no order, the same in every run.
  private func fixedTokens(_ count: Int) -> [Int32] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
      // Xorshift (Marsaglia, 2003).
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int32(truncatingIfNeeded: state % UInt64(vocabularySize))
    }
  }
}
