import Devices
import Evaluation
import GGUF
import ModelGraph
import Models
import Planning
import Residency
import Runtime
import Scheduling
import Tokenization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a model is asked for when policies of its cache are compared.
public enum EvaluationTask: String, Sendable, CaseIterable {
  /// To go on with a text for long: windows of it, half of which are fed.
  case perplexity
  /// To go on with a text: what matters is mostly near.
  case continuation
  /// To copy a part of a text from anywhere in it.
  case copy
  /// To find the one number that is hidden in a text.
  case passkey
  /// To find one of eight numbers that are hidden in a text, by the name that stands beside it.
  case recall
}

/// A policy and its budget.
public struct EvaluationSetting: Sendable, Hashable, CustomStringConvertible {
  /// Which tokens of the cache a new token reads.
  public var policy: KVPolicy
  /// How many at most; nil where it reads all.
  public var budget: Int?

  /// A policy with a budget.
  public init(_ policy: KVPolicy, budget: Int? = nil) {
    (self.policy, self.budget) = (policy, budget)
  }

  /// `quest 1024`.
  public var description: String { budget.map { "\(policy.rawValue) \($0)" } ?? policy.rawValue }

  /// Every policy with every budget; ``KVPolicy/full`` comes once and needs none.
  public static func combinations(
    policies: [KVPolicy], budgets: [Int]
  ) -> [EvaluationSetting] {
    var settings: [EvaluationSetting] = []
    for policy in policies {
      let own: [Int?] = policy == .full ? [nil] : budgets
      for budget in own {
        let setting = EvaluationSetting(policy, budget: budget)
        if !settings.contains(setting) { settings.append(setting) }
      }
    }
    return settings
  }
}

/// The sizes of an evaluation.
public struct EvaluationShape: Sendable {
  /// Tokens of a prompt, which is computed with all that they see; of a perplexity those of a window, the first half
  /// of which is the prompt.
  public var context = 4096
  /// Tokens that are fed behind it, of a continuation and of a copy.
  public var score = 64
  /// Of those of a copy the first ones, which say what is to be copied and are not scored.
  public var cue = 32
  /// Whether they belong to the prompt, so that policies that decide behind it have seen them.
  public var cueInPrompt = false
  /// How many samples.
  public var windows = 16
  /// What chance begins with.
  public var seed: UInt64 = 0

  /// The defaults.
  public init() {}
}

/// What one policy reached with one budget.
public struct EvaluationResult: Sendable {
  /// The policy.
  public let setting: EvaluationSetting
  /// Mean negative log-likelihood of the scored tokens.
  public let natsPerToken: Double
  /// Standard error of ``natsPerToken`` over windows.
  public let standardError: Double
  /// Nats per token beside ``KVPolicy/full`` on the same windows; nil where that was not among the policies.
  public let difference: Double?
  /// Standard error of ``difference`` over pairs of windows.
  public let differenceError: Double?
  /// Tokens that were scored.
  public let tokens: Int
  /// How fast tokens came that were fed one by one, scoring not counted.
  public let tokensPerSecond: Double
  /// For questions, the share of windows in which each token of the answer is the likeliest one, so that
  /// greedy decoding gives all of it.
  public let accuracy: Double?

  init(_ setting: EvaluationSetting, _ scores: WindowScores, full: WindowScores?, asks: Bool) {
    self.setting = setting
    natsPerToken = scores.natsPerToken
    standardError = scores.standardError
    let beside = full.map { scores.difference(from: $0) }
    (difference, differenceError) = (beside?.mean, beside?.standardError)
    tokens = scores.tokens
    tokensPerSecond = scores.tokensPerSecond
    accuracy = asks ? scores.accuracy : nil
  }
}

/// Compares policies of the cache on one model and one text.
///
/// A prompt is computed with all that it sees, whatever the policy; so what is scored are tokens behind it,
/// fed one by one. Policies see the same samples, which is why they are compared in pairs.
public struct PolicyEvaluation: Sendable {
  private let path: String
  private let task: EvaluationTask
  private let settings: [EvaluationSetting]
  private let samples: [Sample]
  private let options: LoadOptions

  /// Checks what is asked for, and makes the samples.
  ///
  /// - Parameters:
  ///   - path: The model.
  ///   - task: What it is asked for.
  ///   - text: Where samples come from.
  ///   - shape: How long, and how many.
  ///   - settings: The policies, each of which the model is loaded for.
  ///   - options: Device, threads and arithmetic.
  /// - Throws: ``ApusError`` where a policy, a length or the text does not do.
  public init(
    _ path: String, task: EvaluationTask, text: [UInt8], shape: EvaluationShape = EvaluationShape(),
    settings: [EvaluationSetting], options: LoadOptions = LoadOptions()
  ) throws(ApusError) {
    guard !settings.isEmpty else { throw ApusError(.request, "there is no policy to evaluate") }
    let policies = try settings.map { setting throws(ApusError) in
      try setting.cachePolicy(options)
    }
    try options.checkTau(for: settings.map(\.policy))
    let file = try GGUFFile.open(path)
    let trained: Int
    do throws(ModelError) { trained = try Model.contextLength(of: file) } catch {
      throw ApusError(error)
    }
    let tokenizer = try ModelText(file).tokenizer
    do throws(SampleError) {
      let maker = try SampleMaker(
        // Windows of a perplexity begin with what the text does.
        text: tokenizer.encode(text, addBOS: task == .perplexity && tokenizer.addsBOS),
        bos: tokenizer.addsBOS ? tokenizer.bos : nil,
        context: shape.context, windows: shape.windows, seed: shape.seed)
      samples =
        switch task {
        case .perplexity: try maker.perplexity()
        case .continuation: try maker.continuation(score: shape.score)
        case .copy:
          try maker.copy(
            copied: shape.score, cue: shape.cue, cueInPrompt: shape.cueInPrompt)
        case .passkey: try maker.passkey { tokenizer.encode($0) }
        case .recall: try maker.recall { tokenizer.encode($0) }
        }
    } catch { throw ApusError(.request, "\(error)") }
    let prompt = samples.map(\.prompt).max() ?? 0
    guard prompt <= trained else {
      throw ApusError(
        .request,
        "prompts of \(prompt) tokens are more than the model's context of \(trained) tokens: choose a shorter -c"
      )
    }
    // The last token is scored, not fed.
    let longest = (samples.map(\.tokens.count).max() ?? 1) - 1
    guard policies.allSatisfy({ $0.allows(context: longest, trained: trained) }) else {
      throw ApusError(
        .request,
        "a prompt of \(prompt) tokens and what is fed behind it are \(longest) tokens, but the "
          + "model's context holds \(trained): choose a shorter -c (or sinks-turned alone, with budgets of \(trained) at most)"
      )
    }
    (self.path, self.task, self.settings) = (path, task, settings)
    var options = options
    options.contextLength = longest
    // Where all is read too, tokens behind the prompt are to come one by one.
    options.outputRows = 1
    self.options = options
  }

  /// Runs it.
  ///
  /// - Parameters:
  ///   - notice: Gets what the user should know of the choice of devices, each once.
  ///   - progress: Called before each window with the setting, how many windows are done, and how many there
  ///     are.
  /// - Returns: A result for each setting, in order.
  /// - Throws: ``ApusError`` where the model cannot be loaded or the device fails.
  public func run(
    notice: (String) -> Void = { _ in },
    progress: (EvaluationSetting, Int, Int) -> Void = { _, _, _ in }
  ) async throws(ApusError) -> [EvaluationResult] {
    var scores: [WindowScores] = []
    var said: Set<String> = []
    for setting in settings {
      let options = options.with(setting.policy, budget: setting.budget)
      let model = try await LanguageModel.load(path, options: options)
      for text in model.notices where said.insert(text).inserted { notice(text) }
      var windows: [WindowScore] = []
      let result: Result<Void, ApusError>
      do throws(ApusError) {
        for (index, sample) in samples.enumerated() {
          progress(setting, index, samples.count)
          windows.append(try await model.score(sample))
        }
        result = .success(())
      } catch { result = .failure(error) }
      await model.close()
      try result.get()
      scores.append(WindowScores(windows))
    }
    let full = settings.firstIndex { $0.policy == .full }.map { scores[$0] }
    let asks = task == .passkey || task == .recall
    return zip(settings, scores).map { EvaluationResult($0, $1, full: full, asks: asks) }
  }

  /// Curves of quality and speed against the budget, as SVG. Bars are one standard error, of the pairs where
  /// there are pairs.
  public static func plot(_ results: [EvaluationResult], title: String) -> String {
    CurvePlot(
      title: title,
      points: results.map {
        CurvePlot.Point(
          policy: $0.setting.policy.rawValue, budget: $0.setting.budget,
          natsPerToken: $0.natsPerToken, standardError: $0.pairedError,
          tokensPerSecond: $0.tokensPerSecond)
      }
    ).text
  }
}

extension EvaluationResult {
  /// exp(``natsPerToken``).
  public var perplexity: Double { exp(natsPerToken) }

  /// The standard error beside ``KVPolicy/full`` where there is that, else the mean's own.
  public var pairedError: Double {
    setting.policy == .full ? standardError : differenceError ?? standardError
  }
}

extension EvaluationSetting {
  /// The policy, where these options go with it.
  fileprivate func cachePolicy(_ options: LoadOptions) throws(ApusError) -> CachePolicy {
    guard let method = CachePolicy.Method(rawValue: policy.rawValue) else {
      preconditionFailure("policies have the same names everywhere")
    }
    guard options.prefillSparsity == .none || policy == .full else {
      throw ApusError(
        .request,
        "--prefill-sparse \(options.prefillSparsity.rawValue) goes with full alone, not with \(policy.rawValue): "
          + "--policies full")
    }
    do throws(PolicyError) {
      return try CachePolicy(
        method, budget: budget, pageTokens: KVLayout.pageTokens, window: options.windowPages)
    } catch {
      let sentence =
        switch error {
        case .budgetOfFull: "full reads all tokens and takes no budget"
        case .noBudget(_, let least):
          "\(policy.rawValue) needs a budget, the tokens that are read for each new one: \(least) or more"
        case .tooSmall(let budget, let least, _):
          "a budget of \(budget) tokens is too small: \(least) are the least"
        case .partOfPage(let budget, let pageTokens):
          "a budget of \(budget) is no whole number of pages of \(pageTokens) tokens: "
            + "\(budget / pageTokens * pageTokens) is one"
        }
      throw ApusError(.request, sentence)
    }
  }
}

extension LanguageModel {
  /// Scores one sample: the logits of a token that was fed score the next.
  fileprivate func score(_ sample: Sample) async throws(ApusError) -> WindowScore {
    do throws(EngineError) {
      return try await engine.perform { loop throws(EngineError) in
        var score = WindowScore()
        let clock = ContinuousClock()
        var last: ContinuousClock.Instant?
        try loop.evaluate(Array(sample.tokens.dropLast()), wantedFrom: sample.prompt) {
          token, logits in
          // The first may have come with the end of the prompt.
          if let last {
            score.seconds += (clock.now - last) / .seconds(1)
            score.timed += 1
          }
          if sample.scored.contains(token + 1) {
            let truth = sample.tokens[token + 1]
            score.nats += TokenSum.nats(logits, token: truth)
            score.tokens += 1
            let own = logits[logits.startIndex + Int(truth)]
            let before = logits.prefix(Int(truth))
            // Of equal ones the first is picked.
            if before.contains(where: { $0 >= own }) || logits.contains(where: { $0 > own }) {
              score.isExact = false
            }
          }
          last = clock.now
        }
        return score
      }
    } catch { throw ApusError(error) }
  }
}
