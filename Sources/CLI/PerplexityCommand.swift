import Apus
import ArgumentParser

/// `apus perplexity`: how well a model predicts a text.
struct PerplexityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity", abstract: "Measure how well a model predicts a text.",
    discussion: """
      The text is cut into windows of c tokens that do not overlap; the tokens behind the first \
      half of each are scored, as llama.cpp's tool does.

      Example:
        apus perplexity model.gguf -f wiki.txt --windows 8 --activations f32
      """)

  @OptionGroup var source: ModelArgument

  @Option(name: .shortAndLong, help: "The text ('-': standard input).")
  var file: String

  @OptionGroup var cut: WindowArguments

  @OptionGroup var output: OutputArguments

  @OptionGroup var load: LoadArguments

  func run() async throws {
    let bytes = try Input.bytes(file)
    var options = load.options
    cut.set(&options)
    let model = try await LanguageModel.load(source.path, options: options)
    for notice in model.notices { Terminal.note("apus: \(notice)") }
    let result: Result<PerplexityResult, ApusError>
    do throws(ApusError) {
      result = .success(
        try await model.perplexity(of: bytes, window: cut.window, windows: cut.windows) {
          done, count, perplexity in
          Terminal.progress("window \(done) of \(count), perplexity \(thousandths(perplexity))")
        })
    } catch { result = .failure(error) }
    await model.close()
    Terminal.progress("")
    let score = try result.get()
    if output.json { return try printJSON(PerplexityReport(score, model.device.name)) }
    Terminal.write(
      "perplexity \(thousandths(score.perplexity)) ± \(thousandths(score.perplexityError)), "
        + "\(thousandths(score.natsPerToken)) ± \(thousandths(score.natsPerTokenError)) nats per "
        + "token over \(score.tokens) tokens in \(score.windows) windows of \(cut.window)\n")
  }
}

/// Four decimals.
private func thousandths(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e11 else { return "\(value)" }
  let scaled = Int((value * 10_000).rounded())
  let digits = String(abs(scaled) % 10_000)
  return "\(scaled / 10_000)." + String(repeating: "0", count: 4 - digits.count) + digits
}

private struct PerplexityReport: Encodable {
  var perplexity: Double
  var perplexity_error: Double
  var nats_per_token: Double
  var nats_per_token_error: Double
  var tokens: Int
  var windows: Int
  var window_nats: [Double]
  var device: String

  init(_ result: PerplexityResult, _ device: String) {
    perplexity = result.perplexity
    perplexity_error = result.perplexityError
    nats_per_token = result.natsPerToken
    nats_per_token_error = result.natsPerTokenError
    tokens = result.tokens
    windows = result.windows
    window_nats = result.windowNats
    self.device = device
  }
}
