import Apus
import ArgumentParser

/// `apus eval`: what choices cost and gain. A task that is no subcommand is one of policies.
struct EvalCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval", abstract: "Compare policies of the cache, or two runs.",
    usage: """
      apus eval perplexity|continuation|copy|passkey|recall [<model>] -f <file> [<options>]
      apus eval kl [<model>] -f <file> [<options>]
      """,
    discussion: "'apus eval policies --help' explains the tasks that compare policies.",
    subcommands: [PolicyCommand.self, KLCommand.self], defaultSubcommand: PolicyCommand.self)
}

/// `apus eval perplexity|continuation|copy|passkey|recall`: what policies of the cache cost and gain.
struct PolicyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policies", abstract: "Compare policies of the cache: quality and speed.",
    usage: "apus eval <task> [<model>] -f <file> [<options>]",
    discussion: """
      A prompt of c tokens is computed with all that it sees; the tokens behind it are fed one by one, so that \
      each reads what the policy gives it, and what they predict is scored. All policies get the same windows.

      perplexity: windows of c tokens, of which the first half is the prompt, as 'apus perplexity' cuts and scores them.
      continuation: the text as it goes on.
      copy: a part of the prompt once more, from anywhere; the first tokens are a cue and not scored.
      passkey: a question for a number that is hidden in the prompt, window by window further behind.
      recall: a question for one of eight numbers that are hidden in the prompt.

      The column 'beside full' has the difference to the policy full on the same windows, with the standard \
      error of the pairs. With --json that error is standard_error, but where there is no full it is the mean's own.

      Examples:
        apus eval continuation model.gguf -f wiki.txt --policies full,quest,sinks --budgets 256,1024
        apus eval copy model.gguf -f wiki.txt -c 2048 --windows 8 --svg copy.svg
      """)

  @Argument(help: "What is asked for: perplexity, continuation, copy, passkey or recall.")
  var task: EvaluationTask

  @OptionGroup var source: ModelArgument

  @Option(name: .shortAndLong, help: "The text ('-': standard input).")
  var file: String

  @Option(help: "Policies with commas between (default: full,sinks,quest,random).")
  var policies: List<KVPolicy>?

  @Option(
    help: "Tokens of the cache that a new token reads at most, with commas between (default: 1024)."
  )
  var budgets: List<Int>?

  @Option(
    name: [.customShort("c"), .customLong("context")],
    help: "Tokens of a prompt; of a perplexity, of a window.")
  var context = EvaluationShape().context

  @Option(help: "Tokens that are fed behind it, for continuation and copy (default: 64).")
  var score: Int?

  @Option(help: "Of the tokens of a copy how many are a cue (default: half).")
  var cue: Int?

  @Flag(
    help: ArgumentHelp(
      "Let the cue be the end of the prompt.",
      discussion: """
        Policies that decide behind the prompt what they keep (h2o, snapkv, pyramid, zipvl) have seen the cue then.
        """))
  var cueInPrompt = false

  @Option(help: "Windows, 2 at least.")
  var windows = EvaluationShape().windows

  @Option(
    name: .shortAndLong, help: "What chance begins with: where copies are from, which numbers.")
  var seed = EvaluationShape().seed

  @Option(help: ArgumentHelp("Draw the curves into this file.", valueName: "file"))
  var svg: String?

  @OptionGroup var output: OutputArguments

  @OptionGroup var load: LoadArguments

  func validate() throws {
    func check(_ value: Int?, _ name: String, from least: Int) throws {
      guard let value, !(least...1 << 24).contains(value) else { return }
      throw ValidationError("\(name) takes numbers from \(least) to \(1 << 24), not \(value)")
    }
    try check(context, "-c", from: task == .perplexity ? 4 : 2)
    try check(windows, "--windows", from: 2)
    try check(score, "--score", from: 1)
    try check(cue, "--cue", from: 1)
    for budget in budgets?.values ?? [] { try check(budget, "--budgets", from: 1) }
    if score != nil, task != .continuation, task != .copy {
      throw ValidationError("--score goes with continuation and copy")
    }
    if cue != nil, task != .copy { throw ValidationError("--cue goes with copy") }
    if cueInPrompt, task != .copy { throw ValidationError("--cue-in-prompt goes with copy") }
    let single = load.policy.kvPolicy != .full || load.policy.kvBudget != nil
    if single, policies != nil || budgets != nil {
      throw ValidationError(
        "give policies with --policies and --budgets, or one with --kv-policy and --kv-budget")
    }
  }

  /// What is compared.
  var settings: [EvaluationSetting] {
    if load.policy.kvPolicy != .full || load.policy.kvBudget != nil {
      return [EvaluationSetting(load.policy.kvPolicy, budget: load.policy.kvBudget)]
    }
    return EvaluationSetting.combinations(
      policies: policies?.values ?? [.full, .sinks, .quest, .random],
      budgets: budgets?.values ?? [1024])
  }

  func run() async throws {
    var shape = EvaluationShape()
    (shape.context, shape.windows, shape.seed) = (context, windows, seed)
    shape.score = score ?? shape.score
    shape.cue = cue ?? max(1, shape.score / 2)
    shape.cueInPrompt = cueInPrompt
    let path = try source.path
    let evaluation = try PolicyEvaluation(
      path, task: task, text: try Input.bytes(file), shape: shape, settings: settings,
      options: load.options)
    let results: [EvaluationResult]
    do throws(ApusError) {
      results = try await evaluation.run(
        notice: { Terminal.note("apus: \($0)") },
        progress: { Terminal.progress("\($0): window \($1 + 1) of \($2)") })
    } catch {
      Terminal.progress("")
      throw error
    }
    Terminal.progress("")
    if let svg {
      let name = path.split(separator: "/").last.map(String.init) ?? path
      let asked =
        task == .perplexity
        ? "perplexity, \(windows) windows of \(context) tokens"
        : "\(task.rawValue) behind \(context) tokens, \(windows) windows"
      let title = "\(asked): \(name)"
      let picture = PolicyEvaluation.plot(results, title: title)
      try Output.replace(svg, with: Array(picture.utf8), mode: 0o644)
    }
    if output.json {
      return try printJSON(results.map { EvalRow($0, isPerplexity: task == .perplexity) })
    }
    Terminal.write(Self.report(results, isPerplexity: task == .perplexity))
  }

  private static func report(_ results: [EvaluationResult], isPerplexity: Bool) -> String {
    let (isPaired, asks) = (
      results.contains { $0.difference != nil }, results.contains { $0.accuracy != nil }
    )
    let header =
      ["policy", "budget"] + (isPerplexity ? ["perplexity"] : []) + ["nats per token"]
      + (isPaired ? ["beside full"] : [])
      + (asks ? ["exact"] : []) + ["tokens", "tokens/s"]
    let rows = results.map { result in
      var row = [result.setting.policy.rawValue, result.setting.budget.map { "\($0)" } ?? "all"]
      if isPerplexity { row.append(decimals(result.perplexity, 4)) }
      row.append("\(decimals(result.natsPerToken, 4)) ± \(decimals(result.standardError, 4))")
      if isPaired { row.append(beside(result)) }
      if asks { row.append("\(decimals((result.accuracy ?? 0) * 100, 0)) %") }
      return row + ["\(result.tokens)", decimals(result.tokensPerSecond, 1)]
    }
    return table(header, rows)
  }

  private static func beside(_ result: EvaluationResult) -> String {
    guard result.setting.policy != .full, let difference = result.difference,
      let error = result.differenceError
    else { return "" }
    let sign = difference < 0 ? "-" : "+"
    return "\(sign)\(decimals(abs(difference), 4)) ± \(decimals(error, 4))"
  }
}

/// A row for programs.
struct EvalRow: Encodable {
  var policy: String
  var budget: Int?
  var perplexity: Double?
  var nats_per_token: Double
  var standard_error: Double
  var tokens: Int
  var tokens_per_second: Double
  var accuracy: Double?

  init(_ result: EvaluationResult, isPerplexity: Bool) {
    perplexity = isPerplexity ? result.perplexity : nil
    policy = result.setting.policy.rawValue
    budget = result.setting.budget
    nats_per_token = result.natsPerToken
    standard_error = result.pairedError
    tokens = result.tokens
    tokens_per_second = result.tokensPerSecond
    accuracy = result.accuracy
  }

  private enum Key: String, CodingKey {
    case policy, budget, perplexity, nats_per_token, standard_error, tokens, tokens_per_second,
      accuracy
  }

  /// The budget of a policy that has none is null: every row has the same names.
  func encode(to encoder: any Encoder) throws {
    var row = encoder.container(keyedBy: Key.self)
    try row.encode(policy, forKey: .policy)
    try row.encode(budget, forKey: .budget)
    try row.encodeIfPresent(perplexity, forKey: .perplexity)
    try row.encode(nats_per_token, forKey: .nats_per_token)
    try row.encode(standard_error, forKey: .standard_error)
    try row.encode(tokens, forKey: .tokens)
    try row.encode(tokens_per_second, forKey: .tokens_per_second)
    try row.encodeIfPresent(accuracy, forKey: .accuracy)
  }
}
