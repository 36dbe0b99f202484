import Apus
import TestSupport
import Testing

/// The default model and its text, where `tools/fetch smollm2 text` has put them.
enum SmolLM2 {
  static let path = Fixtures.fetched("smollm2-135m-instruct-q4_1.gguf") ?? ""
  static let textPath = Fixtures.fetched("wiki.txt") ?? ""
  static let isPresent = !path.isEmpty && !textPath.isEmpty
  static let absence: Comment = "SmolLM2 is absent: 'tools/fetch smollm2 text' and set APUS_MODELS"
  static let hasOpenCL = DeviceInventory.list().devices.contains { $0.name == "opencl:0" }

  /// The devices that must agree: the CPU, and PoCL where it is installed.
  static let devices: [DeviceChoice] = hasOpenCL ? [.cpu, .opencl(0)] : [.cpu]

  static func load(
    _ device: DeviceChoice, _ activations: Activations, context: Int = 512, path: String = path
  ) async throws -> LanguageModel {
    var options = LoadOptions()
    (options.device, options.activations) = (device, activations)
    (options.contextLength, options.outputRows) = (context, context)
    options.allowsFallback = false
    return try await LanguageModel.load(path, options: options)
  }

  static func text(tokens: Int = .max) throws -> [UInt8] {
    // A token is at least a byte and on average four.
    Array(try Fixtures.bytes(textPath).prefix(tokens == .max ? .max : tokens * 12))
  }
}
