public import Apus
public import ArgumentParser

extension DeviceChoice: ExpressibleByArgument {
  /// Reads a `--device` value.
  public init?(argument: String) { self.init(argument) }

  /// Values that shells complete.
  public static var allValueStrings: [String] { ["auto", "cpu", "reference", "opencl"] }
}

extension Activations: ExpressibleByArgument {}

/// How a model is loaded: flags that `run` and `perplexity` share.
struct LoadArguments: ParsableArguments {
  @Option(help: "Where to run: auto, cpu, reference, opencl or opencl:N (see 'apus devices').")
  var device: DeviceChoice = .auto

  @Flag(help: "Make it an error when the device cannot run the whole model.")
  var noFallback = false

  @Option(name: .shortAndLong, help: "CPU threads (default: all).")
  var threads: Int?

  @Option(
    help:
      "Arithmetic: int8 is faster, at about 0.5% of perplexity; f32 is single precision throughout."
  )
  var activations: Activations = .int8

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be 1 or more") }
  }

  var options: LoadOptions {
    var options = LoadOptions()
    options.device = device
    options.allowsFallback = !noFallback
    options.threads = threads
    options.activations = activations
    return options
  }
}
