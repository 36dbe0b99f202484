import Apus
import ArgumentParser

/// `apus eval kl`: how far two runs, or two files, are apart.
struct KLCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kl", abstract: "Compare what two runs or two files predict, token by token.",
    discussion: """
      The mean of KL(base || run) over the tokens of a text, in nats, and how often both hold the same next token \
      for the likeliest. The base is the file of --against, or the same file; it reads its whole cache, and \
      --against-device, --against-activations and --against-kv-type say where else it differs. The text is cut as \
      'apus perplexity' does.

      Examples:
        apus eval kl model-q4.gguf --against model-q8.gguf -f wiki.txt --windows 8
        apus eval kl model.gguf -f wiki.txt --against-activations f32
        apus eval kl model.gguf -f wiki.txt --device opencl:0 --against-device reference
      """)

  @OptionGroup var source: ModelArgument

  @Option(name: .shortAndLong, help: "The text ('-': standard input).")
  var file: String

  @Option(help: ArgumentHelp("The file of the base (default: the same).", valueName: "model"))
  var against: String?

  @Option(help: ArgumentHelp("Where the base runs (default: as --device).", valueName: "device"))
  var againstDevice: DeviceChoice?

  @Option(
    help: ArgumentHelp("Arithmetic of the base (default: as --activations).", valueName: "type"))
  var againstActivations: Activations?

  @Option(
    help: ArgumentHelp(
      "How the base keeps keys and values (default: as --kv-type).", valueName: "type"))
  var againstKvType: KVType?

  @OptionGroup var cut: WindowArguments

  @OptionGroup var output: OutputArguments

  @OptionGroup var load: LoadArguments

  func validate() throws {
    let others: [Any?] = [against, againstDevice, againstActivations, againstKvType]
    if others.allSatisfy({ $0 == nil }), load.policy.kvPolicy == .full,
      !load.policy.kvRotate, load.policy.prefillSparse == .none
    {
      throw ValidationError(
        "say what to compare with: another file (--against), another device (--against-device), "
          + "--against-activations or --against-kv-type, or a --kv-policy to compare with full, --kv-rotate or "
          + "--prefill-sparse with none"
      )
    }
  }

  func run() async throws {
    let bytes = try Input.bytes(file)
    let path = try source.path
    var options = load.options
    cut.set(&options)
    let model = try await Self.load(path, options)
    options.kvPolicy = .full
    options.kvRotated = false
    options.kvBudget = nil
    (options.prefillSparsity, options.tau) = (.none, nil)
    options.device = againstDevice ?? options.device
    options.activations = againstActivations ?? options.activations
    options.kvType = againstKvType ?? options.kvType
    let base: LanguageModel
    do throws(ApusError) {
      guard model.promptLimit == model.contextLength else {
        throw ApusError(
          .request,
          "the base reads all tokens, and was trained for \(model.promptLimit): choose a shorter -c"
        )
      }
      base = try await Self.load(against ?? path, options)
    } catch {
      await model.close()
      throw error
    }
    let result: Result<DivergenceResult, ApusError>
    do throws(ApusError) {
      result = .success(
        try await model.divergence(from: base, on: bytes, window: cut.window, windows: cut.windows)
        {
          Terminal.progress("window \($0) of \($1), KL \(decimals($2, 5))")
        })
    } catch { result = .failure(error) }
    await model.close()
    await base.close()
    Terminal.progress("")
    let found = try result.get()
    if output.json { return try printJSON(KLReport(found)) }
    let (nats, share) = (found.natsPerToken, found.sameTop * 100)
    Terminal.write(
      "KL \(decimals(found.mean, 5)) ± \(decimals(found.standardError, 5)) nats per token, at most "
        + "\(decimals(found.largest, 4)); same likeliest token \(decimals(share, 2)) ± "
        + "\(decimals(found.sameTopError * 100, 2)) %; nats per token \(decimals(nats.run, 4)), base "
        + "\(decimals(nats.base, 4)); \(found.tokens) tokens in \(found.windows) windows of \(cut.window)\n"
    )
  }

  private static func load(
    _ path: String, _ options: LoadOptions
  ) async throws(ApusError) -> LanguageModel {
    let model = try await LanguageModel.load(path, options: options)
    for notice in model.notices { Terminal.note("apus: \(notice)") }
    return model
  }
}

private struct KLReport: Encodable {
  var kl: Double
  var kl_error: Double
  var kl_largest: Double
  var same_top: Double
  var same_top_error: Double
  var nats_per_token: Double
  var base_nats_per_token: Double
  var tokens: Int
  var windows: Int

  init(_ result: DivergenceResult) {
    kl = result.mean
    kl_error = result.standardError
    kl_largest = result.largest
    same_top = result.sameTop
    same_top_error = result.sameTopError
    nats_per_token = result.natsPerToken.run
    base_nats_per_token = result.natsPerToken.base
    tokens = result.tokens
    windows = result.windows
  }
}
