public import Apus
public import ArgumentParser

extension ProfileReport.Grouping: ExpressibleByArgument {}

/// `apus profile`: where the time goes, kernel by kernel.
struct ProfileCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Show where the time of a generation goes, kernel by kernel.",
    discussion: """
      The prompt is computed and -n tokens are generated from it, the likeliest each time; every launch \
      is noted. A shorter round before that builds the kernels and is not noted. One table is for the \
      prompt and one for the tokens after it, since their costs have little in common.

      Bytes and operations are what the work needs at the least. 'roofline' is the share of what the \
      device reaches at best with them, from memory; more than 100% came from a cache. Those limits \
      are measured once ('apus devices --roofline') and kept.

      Examples:
        apus profile model.gguf
        apus profile model.gguf -p "Once upon a time" -n 64 --device opencl:0 --by op
        apus profile model.gguf --device cpu -t 1 --trace trace.json --html profile.html
      """)

  @Argument(help: "A GGUF file (default: SmolLM2-135M-Instruct from the cache).")
  var model: String?

  @Option(name: .shortAndLong, help: "The prompt (default: a text of some 120 tokens).")
  var prompt: String?

  @Option(name: .shortAndLong, help: "A file that holds the prompt ('-': standard input).")
  var file: String?

  @Option(
    name: [
      .customShort("n"), .customLong("tokens"), .customLong("predict"), .customLong("n-predict"),
    ], help: "Tokens to generate.")
  var limit = 32

  @Option(
    name: [.customShort("c"), .customLong("context"), .customLong("ctx-size")],
    help:
      "Tokens of context (default: the model's own, or 4096 if that is less). More than its own goes with --kv-policy sinks-turned."
  )
  var context: Int?

  @Option(help: "What makes launches one row: kernel, layer or op.")
  var by = ProfileReport.Grouping.kernel

  @Option(
    help: ArgumentHelp("Write a trace for ui.perfetto.dev or chrome://tracing.", valueName: "file"))
  var trace: String?

  @Option(
    help: ArgumentHelp(
      "Write a page with a roofline plot, the time of each layer and the tables.", valueName: "file"
    ))
  var html: String?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var dump: DumpArguments

  @OptionGroup var load: LoadArguments

  func validate() throws {
    if limit < 1 { throw ValidationError("-n must be 1 or more") }
    if prompt != nil && file != nil {
      throw ValidationError("give the prompt with -p or with -f, not with both")
    }
    if let context, context < 1 { throw ValidationError("-c must be 1 or more") }
  }

  func run() async throws {
    Interrupt.install()
    let path = try Input.model(model)
    var options = load.options
    options.contextLength = context
    let bytes = try file.map(Input.bytes) ?? Array((prompt ?? Self.text).utf8)
    let model = try await LanguageModel.load(path, options: options)
    for notice in model.notices { Terminal.note("apus: \(notice)") }
    let result: Result<ProfileReport, ApusError>
    do throws(ApusError) {
      let report = try await model.profile(
        .raw(bytes), tokens: limit, until: { Interrupt.isRaised })
      try await dump.write(model)
      result = .success(report)
    } catch { result = .failure(error) }
    await model.close()
    let report = try result.get()
    if let trace { try Output.replace(trace, with: Array(report.trace.utf8), mode: 0o644) }
    if let html { try Output.replace(html, with: Array(report.html.utf8), mode: 0o644) }
    try show(report)
  }

  private func show(_ report: ProfileReport) throws(ApusError) {
    if json { return try printJSON(ProfileJSON(report, by)) }
    Terminal.write(report.title)
    for phase in ProfileReport.Phase.allCases where report.summary(phase) != nil {
      Terminal.write("\n" + report.heading(phase) + "\n" + report.table(phase, by: by))
    }
  }

  /// What is computed where nobody gives a prompt: ordinary words, so that nothing about them is easy.
  static let text = """
    A river begins as rain. Some of it runs over stones and through grass until it finds a ditch, \
    and the ditch finds a brook; most of it sinks into the ground, where it moves a few metres in a \
    year and comes out again at the foot of a hill, cold and clear. Nobody can say which drop was \
    the first. What we call a source is only the place where somebody once decided to stop walking. \
    From there on the water takes the shortest way down, which is seldom the straight one, and \
    carries with it whatever it can lift: sand in spring, leaves in autumn, and in a wet year now \
    and then a bridge.
    """
}

/// What `apus profile --json` prints.
private struct ProfileJSON: Encodable {
  struct Phase: Encodable {
    var phase: String
    var tokens: Int
    var steps: Int
    var launches: Int
    var time_ms: Double
    var tokens_per_second: Double?
    var coverage: Double
    var rows: [Row]
  }

  struct Row: Encodable {
    var name: String
    var operation: String
    var calls: Int
    var total_us: Double
    var share: Double
    var mean_us: Double
    var min_us: Double
    var max_us: Double
    var bytes: Int
    var flops: Int
    var roofline: Double?
  }

  var title: String
  var phases: [Phase]

  init(_ report: ProfileReport, _ grouping: ProfileReport.Grouping) {
    title = report.title
    phases = ProfileReport.Phase.allCases.compactMap { phase in
      report.summary(phase).map { summary in
        Phase(
          phase: phase.rawValue, tokens: summary.tokens, steps: summary.steps,
          launches: summary.launches, time_ms: summary.time / .milliseconds(1),
          tokens_per_second: summary.tokensPerSecond, coverage: summary.coverage,
          rows: report.rows(phase, by: grouping).map { row in
            Row(
              name: row.name, operation: row.operation, calls: row.calls,
              total_us: row.total / .microseconds(1), share: row.share,
              mean_us: row.total / .microseconds(1) / Double(max(1, row.calls)),
              min_us: row.shortest / .microseconds(1), max_us: row.longest / .microseconds(1),
              bytes: row.bytes, flops: row.flops, roofline: row.rooflineShare)
          })
      }
    }
  }
}
