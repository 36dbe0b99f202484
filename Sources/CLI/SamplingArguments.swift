import Apus
import ArgumentParser

/// How tokens are picked: options that `run` and `chat` share, by the names that llama.cpp's users
/// know. Numbers are read whatever they begin with, so that a minus sign is no riddle.
struct SamplingArguments: ParsableArguments {
  @Option(
    name: [.customLong("temperature"), .customLong("temp")], parsing: .unconditional,
    help: "0 picks the likeliest token; higher is bolder.")
  var temperature: Float = 0.8

  @Option(parsing: .unconditional, help: "Keep the k likeliest tokens (0: all).")
  var topK = 40

  @Option(
    parsing: .unconditional, help: "Keep the fewest tokens that together have this probability.")
  var topP: Float = 0.95

  @Option(
    parsing: .unconditional,
    help: "Keep tokens with this share of the likeliest one's probability.")
  var minP: Float = 0.05

  @Option(
    name: [.customLong("typical"), .customLong("typical-p")], parsing: .unconditional,
    help: "Keep the most typical tokens, up to this probability together (1: all).")
  var typical: Float = 1

  @Option(
    name: [.customLong("top-n-sigma"), .customLong("top-nsigma")], parsing: .unconditional,
    help: "Keep tokens within this many standard deviations of the best logit (-1: all).")
  var topNSigma: Float = -1

  @Option(
    parsing: .unconditional, help: "How often XTC excludes the likeliest tokens (0: never).")
  var xtcProbability: Float = 0

  @Option(
    parsing: .unconditional,
    help: "XTC excludes all but the last of the tokens with this probability (above 0.5: none).")
  var xtcThreshold: Float = 0.1

  @Option(
    parsing: .unconditional, help: "Above 1 makes tokens that occurred lately less likely.")
  var repeatPenalty: Float = 1

  @Option(
    parsing: .unconditional, help: "Taken off the logits of tokens that occurred lately.")
  var presencePenalty: Float = 0

  @Option(
    parsing: .unconditional,
    help: "Taken off a token's logit for each time that it occurred lately.")
  var frequencyPenalty: Float = 0

  @Option(
    parsing: .unconditional, help: "How many tokens \"lately\" is for the three penalties.")
  var repeatLastN = 64

  @Option(
    parsing: .unconditional, help: "The DRY penalty of tokens that prolong a repetition (0: off).")
  var dryMultiplier: Float = 0

  @Option(
    parsing: .unconditional, help: "The DRY penalty grows by this factor with each token.")
  var dryBase: Float = 1.75

  @Option(
    parsing: .unconditional, help: "Repetitions of fewer tokens cost nothing with DRY.")
  var dryAllowedLength = 2

  @Option(
    parsing: .unconditional, help: "How many recent tokens DRY searches for repetitions.")
  var dryPenaltyLastN = 64

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "A text that ends repetitions for DRY; may be given several times, 'none' for none.",
      discussion: "The default is \\n, :, \" and *. The escapes \\n, \\t, \\r and \\\\ are read."))
  var drySequenceBreaker: [String] = []

  @Option(
    name: [.customShort("l"), .customLong("logit-bias")], parsing: .unconditionalSingleValue,
    help: "Added to a token's logit, as in 15043+1 or 15043-inf; may be given several times.")
  var logitBias: [LogitBias] = []

  @Option(
    name: .shortAndLong, parsing: .unconditional,
    help: "The same seed gives the same text (-1: another one each time).")
  var seed = Seed()

  func validate() throws {
    if let complaint = options.complaint { throw ValidationError(complaint) }
  }

  var options: GenerationOptions {
    var options = GenerationOptions()
    options.temperature = temperature
    options.topNSigma = topNSigma
    options.topK = topK
    options.typicalP = typical
    options.topP = topP
    options.minP = minP
    options.xtcProbability = xtcProbability
    options.xtcThreshold = xtcThreshold
    options.repetitionPenalty = repeatPenalty
    options.presencePenalty = presencePenalty
    options.frequencyPenalty = frequencyPenalty
    options.penaltyWindow = repeatLastN
    options.dryMultiplier = dryMultiplier
    options.dryBase = dryBase
    options.dryAllowedLength = dryAllowedLength
    options.dryWindow = dryPenaltyLastN
    if !drySequenceBreaker.isEmpty {
      options.dryBreakers = drySequenceBreaker.filter { $0 != "none" }.map(unescaped)
    }
    for bias in logitBias { options.logitBias[bias.token, default: 0] += bias.bias }
    options.seed = seed.number ?? UInt64.random(in: 0...(.max))
    return options
  }

  private func unescaped(_ text: String) -> String {
    let meanings: [Character: Character] = ["n": "\n", "t": "\t", "r": "\r", "\\": "\\"]
    var result = ""
    var isEscaped = false
    for character in text {
      if isEscaped {
        result += meanings[character].map { String($0) } ?? "\\\(character)"
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        result.append(character)
      }
    }
    return isEscaped ? result + "\\" : result
  }
}

/// A number, or -1 for one that nobody chose.
struct Seed: ExpressibleByArgument, CustomStringConvertible {
  var number: UInt64?

  init() {}

  init?(argument: String) {
    if argument == "-1" { return }
    guard let number = UInt64(argument) else { return nil }
    self.number = number
  }

  var description: String { number.map { "\($0)" } ?? "-1" }
}

/// `TOKEN+BIAS` or `TOKEN-BIAS`.
struct LogitBias: ExpressibleByArgument {
  var token: Int32
  var bias: Float

  init?(argument: String) {
    guard let sign = argument.firstIndex(where: { $0 == "+" || $0 == "-" }),
      let token = Int32(argument[..<sign]), let bias = Float(argument[sign...])
    else { return nil }
    self.token = token
    self.bias = bias
  }
}
