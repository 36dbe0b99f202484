package import Devices
import ModelGraph
package import Planning
package import Residency
package import Scheduling
package import Tensors

/// A request that the engine refuses, in a sentence.
package enum EngineError: Error, Sendable, CustomStringConvertible {
  case device(DeviceError)
  case planning(PlanningError)
  /// The model file cannot be read any more, or is not what it was.
  case weights(WeightError)
  case scheduling(SchedulingError)
  case emptyPrompt
  case promptTooLong(tokens: Int, context: Int)
  /// A prompt reads all that it sees, and the model was trained for less than the context.
  case promptBeyondModel(tokens: Int, limit: Int)
  case tokenOutOfRange(Int32, vocabulary: Int)
  /// More tokens are to be proposed than a step has logits for.
  case tooManyProposals(Int, outputs: Int)
  /// A cache policy chooses what each row reads, one row of a sequence in a step.
  case proposalsUnderPolicy
  /// Logits that are not numbers: a damaged model, or a device that computes wrongly.
  case notANumber(position: Int)

  package var description: String {
    switch self {
    case .device(let error): error.description
    case .planning(let error): error.description
    case .weights(let error): error.description
    case .scheduling(let error): error.description
    case .emptyPrompt: "the prompt is empty: there is nothing to continue"
    case .promptTooLong(let tokens, let context):
      "the prompt has \(tokens) tokens, but the context holds \(context): shorten it, or give a "
        + "longer context with -c"
    case .promptBeyondModel(let tokens, let limit):
      "the prompt has \(tokens) tokens, but the model was trained for \(limit), and what a longer context (-c) holds are "
        + "generated tokens only: shorten it"
    case .tokenOutOfRange(let token, let vocabulary):
      "token \(token) is outside the vocabulary of \(vocabulary)"
    case .tooManyProposals(let count, let outputs):
      "up to \(count) tokens are to be proposed (--speculate), and a step has \(outputs) with logits: load the "
        + "model with one more (outputRows) in batches of as many (-b)"
    case .proposalsUnderPolicy:
      "tokens cannot be proposed where a policy chooses what they read: leave --speculate or --kv-policy out"
    case .notANumber(let position):
      "the model's output at position \(position) is not a number: the model file is damaged, or "
        + "the device computes wrongly (see 'apus devices --check')"
    }
  }
}

/// Everything that changes while a model runs: device memory, pages, sequences. It belongs to one
/// thread and knows nothing of text.
package final class EngineLoop {
  package let plan: ExecutionPlan
  package let traits: [DeviceTraits]
  /// Tokens that the cache holds.
  package let contextLength: Int
  /// Those of them that a prompt may have: it reads all that it sees.
  package let promptLimit: Int
  let executor: Executor
  private let scheduler: Scheduler
  var pool: PagePool
  /// A smaller model of the same vocabulary that guesses what this one will pick, where tokens are to be proposed.
  /// Only the loop's thread uses it.
  package var draft: EngineLoop?
  /// Tokens of the latest request that it left in the cache.
  package internal(set) var latest: [Int32] = []
  let policy: CachePolicy
  /// What rows of the sequence at hand attended to.
  private var mass = PromptMass()
  /// What is kept of a prompt in place of what the policy chooses: what another run has told.
  var replayed: KeptPages?
  /// Pages of the latest prompt that nobody kept.
  package private(set) var droppedPages = 0
  /// Whether generated tokens have read all that came before them, as a prompt does.
  private var readsAll: Bool { plan.chosen == nil }
  /// Whether what is left of a prompt has no holes and does not depend on how it was cut into steps. Else it is no
  /// other request's beginning.
  private var isWhole: Bool { plan.sparse == nil && !policy.evicts }

  /// Makes the memory of a plan on its devices.
  package init(
    _ plan: ExecutionPlan, devices: [any Device], weights: any WeightSource, contextLength: Int,
    promptLimit: Int = .max, policy: CachePolicy = .full, sparse: SparseSteps = SparseSteps()
  ) throws(EngineError) {
    self.plan = plan
    self.contextLength = contextLength
    self.promptLimit = min(promptLimit, contextLength)
    traits = devices.map(\.traits)
    self.policy = policy
    executor = try Executor(plan, devices: devices, weights: weights, policy: policy)
    scheduler = Scheduler(
      rowBudget: plan.bounds.rows, outputBudget: plan.bounds.outputs,
      chosenRowBudget: plan.chosen?.bounds.rows,
      chosenFrom: policy.chosenFrom(pageTokens: KVLayout.pageTokens),
      probes: policy.evicts && plan.chosen != nil ? policy.probes : nil,
      sparse: plan.sparse == nil ? nil : sparse)
    let pageCount = plan.stepLayout.tableCapacity
    pool = PagePool(
      pageCount: pageCount, pageTokens: KVLayout.pageTokens,
      window: plan.window.map {
        WindowPlaces(
          count: $0.pages, tokens: $0.tokens, isAligned: $0.isAligned, pageCount: pageCount)
      })
  }

  /// Logits of a token.
  package var vocabularySize: Int { plan.logits.operand.width }

  /// Pages that no request uses: all of them between requests.
  package var freePages: Int { pool.freeCount }

  /// Those of them that hold what a request left for others.
  package var keptPages: Int { pool.restingCount }

  /// What was allocated so far.
  package var memory: MemoryUse { executor.memory }

  /// Whether such a text fits, of which so many tokens are a prompt.
  func check(_ tokens: [Int32], prompt: Int) throws(EngineError) {
    if let complaint = executor.complaint { throw .weights(WeightError(complaint)) }
    if tokens.isEmpty { throw .emptyPrompt }
    if promptLimit < contextLength, prompt > promptLimit {
      throw .promptBeyondModel(tokens: prompt, limit: promptLimit)
    }
    if tokens.count > contextLength {
      throw .promptTooLong(tokens: tokens.count, context: contextLength)
    }
    for token in tokens where token < 0 || token >= vocabularySize {
      throw .tokenOutOfRange(token, vocabulary: vocabularySize)
    }
  }

  /// Runs what is pending of a sequence and hands over the wanted logits, step by step.
  func advance(
    _ sequence: inout Sequence, publishes: Bool = false, isCancelled: () -> Bool,
    _ body: (_ token: Int, ArraySlice<Float>) throws(EngineError) -> Void
  ) throws(EngineError) {
    while sequence.pending > 0, !isCancelled() {
      var sequences = [sequence]
      let step: StepPlan
      executor.recorder?.beginStep()
      do throws(SchedulingError) {
        step = try scheduler.next(&sequences, pool: &pool)
      } catch {
        sequence = sequences[0]
        throw .scheduling(error)
      }
      sequence = sequences[0]
      executor.recorder?.mark(.schedule)
      let logits: Logits
      do throws(DeviceError) { logits = try executor.run(step) } catch { throw .device(error) }
      if policy.evicts, !step.chooses { try look(at: step, &sequence) }
      // What others find has no holes, and rows of theirs would have been looked at.
      if publishes, isWhole { sequence.publish(pool: &pool, generated: readsAll) }
      for (row, output) in step.outputs.enumerated() { try body(output.token, logits[row]) }
      executor.recorder?.mark(.sample)
    }
  }

  /// Notes what observed rows attended to; behind the prompt's last row, keeps what the policy chooses by that.
  private func look(at step: StepPlan, _ sequence: inout Sequence) throws(EngineError) {
    if step.positions.first == 0 { (mass, droppedPages) = (PromptMass(), 0) }
    if !step.observed.isEmpty {
      do throws(DeviceError) { mass.add(try executor.columns()) } catch { throw .device(error) }
    }
    guard plan.chosen != nil, sequence.computed == sequence.generatedFrom else { return }
    let free = pool.freeCount
    let heads = plan.columns.map { plan.bounds[$0.operand.rows] }
    sequence.keep(
      replayed
        ?? policy.keep(
          sequence.computed, mass: mass, heads: heads, pageTokens: KVLayout.pageTokens),
      window: plan.window?.tokens ?? 0, pool: &pool)
    droppedPages = pool.freeCount - free
    mass = PromptMass()
  }

  /// Frees what requests have left in the cache.
  package func forget() {
    pool.forgetResting()
    draft?.forget()
  }

  /// A sequence of these tokens; if it may share, with what the cache holds of them.
  func begin(_ tokens: [Int32], shares: Bool) -> Sequence {
    var sequence = Sequence(id: 0, tokens: tokens, pageTokens: KVLayout.pageTokens)
    if shares, isWhole { sequence.adopt(from: &pool) }
    return sequence
  }

  /// Gives a sequence's pages back, and leaves them to other requests if it may share. Behind an error nobody knows
  /// which steps have written what they should: then nothing stays for others.
  func end(_ sequence: inout Sequence, shares: Bool, isSound: Bool) {
    if shares, isSound, isWhole {
      latest = Array(sequence.settled(generated: readsAll))
      return sequence.leave(to: &pool, generated: readsAll)
    }
    sequence.release(to: &pool)
    if !isSound { forget() }
  }

  /// Logits of every token from `wantedFrom` on, in order. Where a cache policy chooses, those tokens
  /// come one by one, as if they were generated. Where it `shares`, tokens before those are taken from what other
  /// requests left, and left to them.
  package func evaluate(
    _ tokens: [Int32], wantedFrom: Int, shares: Bool = false, isCancelled: () -> Bool = { false },
    _ body: (_ token: Int, ArraySlice<Float>) -> Void
  ) throws(EngineError) {
    try check(tokens, prompt: min(wantedFrom, tokens.count))
    var sequence = Sequence(id: 0, tokens: tokens, pageTokens: pool.pageTokens)
    (sequence.wantedFrom, sequence.generatedFrom) = (wantedFrom, wantedFrom)
    var isSound = false
    if shares, isWhole { sequence.adopt(from: &pool) }
    defer { end(&sequence, shares: shares, isSound: isSound) }
    try advance(&sequence, publishes: shares, isCancelled: isCancelled) {
      token, logits throws(EngineError) in
      if logits.contains(where: \.isNaN) { throw .notANumber(position: token) }
      body(token, logits)
    }
    isSound = true
  }
}
