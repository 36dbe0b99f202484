import ModelGraph
import Planning
package import Sampling
import Scheduling
import Tensors

/// What to generate.
package struct GenerationRequest: Sendable {
  package var prompt: [Int32]
  package var sampling: SamplingParameters
  /// Tokens to generate at most.
  package var limit: Int
  /// Generation ends with any of these, which are not reported.
  package var endTokens: Set<Int32>
  /// Whether keys and values are taken from requests that began with the same tokens, and left for others.
  package var keepsCache: Bool
  /// Tokens at most that are guessed, from the text or by the loop's draft model, and computed along with a picked
  /// one; those that are picked then need no step of their own. What is picked does not depend on it.
  package var speculation: Int

  package init(
    prompt: [Int32], sampling: SamplingParameters, limit: Int, endTokens: Set<Int32>,
    keepsCache: Bool = false, speculation: Int = 0
  ) {
    self.prompt = prompt
    self.sampling = sampling
    self.limit = limit
    self.endTokens = endTokens
    self.keepsCache = keepsCache
    self.speculation = speculation
  }
}

/// Why generation ended.
package enum FinishReason: Sendable, Hashable {
  /// The model said so, with this token.
  case endToken(Int32)
  /// As many tokens as were asked for.
  case limit
  /// The context holds no more.
  case contextFull(tokens: Int)
  /// Somebody stopped it.
  case cancelled
}

/// How a generation went.
package struct GenerationReport: Sendable {
  package var finish: FinishReason
  package var promptTokens: Int
  /// Tokens of the prompt whose keys and values earlier requests left behind.
  package var reusedTokens: Int
  package var generatedTokens: Int
  /// Pages of the prompt that a policy dropped and that went back to the pool.
  package var droppedPages = 0
  /// Tokens that were guessed and computed.
  package var proposedTokens = 0
  /// Those of them that were picked.
  package var acceptedTokens = 0
  /// From the request to the first token.
  package var timeToFirstToken: Duration
  /// From the first token to the last.
  package var decodeTime: Duration
}

extension EngineLoop {
  /// Generates tokens, one after the other.
  ///
  /// - Parameters:
  ///   - request: What to generate.
  ///   - isCancelled: Asked before every step.
  ///   - emit: Gets every token; returns whether to go on.
  /// - Returns: How it went. Its pages are back, whatever happened.
  /// - Throws: ``EngineError``; the tokens emitted before stay valid.
  package func generate(
    _ request: GenerationRequest, isCancelled: () -> Bool, emit: (Int32) -> Bool
  ) throws(EngineError) -> GenerationReport {
    try check(request.prompt, prompt: request.prompt.count)
    var guesser = try guesser(of: request)
    let clock = ContinuousClock()
    let start = clock.now
    executor.recorder?.begin(promptTokens: request.prompt.count)
    defer { executor.recorder?.end() }
    var sampler = Sampler(request.sampling)
    var sequence = begin(request.prompt, shares: request.keepsCache)
    var isSound = false
    defer {
      guesser?.draft?.end(sequence.tokens, isSound: isSound)
      end(&sequence, shares: request.keepsCache, isSound: isSound)
    }
    var report = GenerationReport(
      finish: .limit, promptTokens: request.prompt.count, reusedTokens: sequence.computed,
      generatedTokens: 0, timeToFirstToken: .zero, decodeTime: .zero)
    /// Whether generation goes on behind a token that was picked behind `count` others.
    func goesOn(behind token: Int32, _ count: Int) -> Bool {
      executor.recorder?.token()
      if report.generatedTokens == 0 { report.timeToFirstToken = clock.now - start }
      report.decodeTime = clock.now - start - report.timeToFirstToken
      if request.endTokens.contains(token) {
        report.finish = .endToken(token)
        return false
      }
      report.generatedTokens += 1
      guard emit(token) else {
        report.finish = .cancelled
        return false
      }
      if count == contextLength, report.generatedTokens < request.limit {
        report.finish = .contextFull(tokens: contextLength)
      }
      return count < contextLength
    }
    while report.generatedTokens < request.limit {
      let count = sequence.tokens.count
      let isDecode = report.generatedTokens > 0
      let began = clock.now
      if isDecode, guesser != nil {
        // The step's last token is picked, not proposed; and all that is proposed has to fit.
        let room = min(request.limit - report.generatedTokens - 1, contextLength - count)
        let guesses = try propose(
          &guesser, behind: sequence.tokens, sampler, room: room, request, isCancelled)
        sequence.propose(guesses)
      }
      let proposed = sequence.tokens.count - count
      let picked = try pick(
        &sequence, behind: count, &sampler, publishes: request.keepsCache, isCancelled: isCancelled)
      let took = clock.now - began
      var accepted = 0
      var isOver = picked.isEmpty
      if isOver { report.finish = .cancelled }
      for token in picked where !isOver {
        if goesOn(behind: token, count + accepted) { accepted += 1 } else { isOver = true }
        guesser?.append(token)
      }
      if isDecode, !picked.isEmpty {
        report.proposedTokens += proposed
        report.acceptedTokens += picked.count - 1
        guesser?.learn(accepted: picked.count - 1, of: proposed, took: took)
      }
      // The last one has not been computed, whatever was proposed in its place.
      sequence.truncate(to: count + min(accepted, max(0, picked.count - 1)), pool: &pool)
      guard !isOver, let token = picked.last else { break }
      sequence.append(token)
    }
    report.droppedPages = droppedPages
    isSound = true
    return report
  }

  /// What guesses the tokens of a request, or nil where none are to be.
  private func guesser(of request: GenerationRequest) throws(EngineError) -> Guesser? {
    guard request.speculation > 0 else { return nil }
    if plan.chosen != nil { throw .proposalsUnderPolicy }
    let outputs = min(plan.bounds.outputs, plan.bounds.rows)
    guard request.speculation < outputs else {
      throw .tooManyProposals(request.speculation, outputs: outputs)
    }
    if let draft {
      if let complaint = draft.executor.complaint { throw .weights(WeightError(complaint)) }
      return Guesser(
        draft: Draft(
          draft, prompt: request.prompt, most: request.speculation, shares: request.keepsCache))
    }
    var lookup = Speculator(most: request.speculation)
    for token in request.prompt { lookup.append(token) }
    return Guesser(lookup: lookup)
  }

  /// Tokens that may come next, where something guesses them.
  private func propose(
    _ guesser: inout Guesser?, behind tokens: [Int32], _ sampler: Sampler, room: Int,
    _ request: GenerationRequest, _ isCancelled: () -> Bool
  ) throws(EngineError) -> [Int32] {
    let guessed = guesser?.lookup?.propose(room: room, endTokens: request.endTokens)
    let drafted = try guesser?.draft?.propose(
      behind: tokens, sampler, room: room, vocabulary: vocabularySize,
      endTokens: request.endTokens, isCancelled: isCancelled)
    executor.recorder?.mark(.guess)
    return guessed ?? drafted ?? []
  }

  /// Runs what is pending and picks a token behind the first `count`, then behind each further one as long as
  /// that is what was picked: so each is drawn as if the ones before it had come one by one.
  ///
  /// - Returns: At least one token, or none where it was cancelled. All but the last are in the sequence.
  private func pick(
    _ sequence: inout Sequence, behind count: Int, _ sampler: inout Sampler,
    publishes: Bool, isCancelled: () -> Bool
  ) throws(EngineError) -> [Int32] {
    let tokens = sequence.tokens
    var picked: [Int32] = []
    try advance(&sequence, publishes: publishes, isCancelled: isCancelled) {
      position, logits throws(EngineError) in
      // Logits behind a token that was not picked are of another text.
      guard tokens[count..<position + 1].elementsEqual(picked) else { return }
      guard logits.contains(where: { !$0.isNaN }) else { throw .notANumber(position: position) }
      picked.append(sampler.pick(Array(logits), history: Array(tokens[...position])))
    }
    return picked
  }
}
