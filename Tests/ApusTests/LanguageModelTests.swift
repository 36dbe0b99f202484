import Apus
import COpenCL
import GGUF
import Tensors
import TestSupport
import Testing

/// The façade on a tiny model: choices of devices, ends of generation, errors.
@Suite(.serialized) struct LanguageModelTests {
  private func options(_ device: DeviceChoice, fallback: Bool = true) -> LoadOptions {
    var options = LoadOptions()
    (options.device, options.allowsFallback) = (device, fallback)
    return options
  }

  private func reply(
    _ model: LanguageModel, _ prompt: String, _ change: (inout GenerationOptions) -> Void = { _ in }
  ) async throws -> (text: String, summary: GenerationSummary) {
    var generation = GenerationOptions()
    (generation.temperature, generation.limit) = (0, 12)
    change(&generation)
    var text = ""
    for try await event in model.generate(.raw(Array(prompt.utf8)), options: generation) {
      switch event {
      case .text(let piece): text += piece
      case .finished(let summary): return (text, summary)
      }
    }
    throw ApusError(.request, "the stream ended without a summary")
  }

  /// What few bits cost where keys have biases is said before it is paid.
  @Test(
    arguments: [(.q4, 1), (.k4v2, 1), (.k2v2, 0), (.q8, 0), (.i16, 0), (.f16, 0)]
      as [(KVType, Int)])
  func fewBitsOfBiasedKeysAreNoticed(type: KVType, count: Int) async throws {
    for (flavour, notices) in [(RandomModel.Flavour.qwen2, count), (.llama, 0)] {
      let disk = TemporaryFile(RandomModel(flavour: flavour, type: .q8_0).encoded())
      var options = options(.cpu)
      options.kvType = type
      let model = try await LanguageModel.load(disk.path, options: options)
      #expect(model.notices.count == notices, "\(model.notices)")
      #expect(model.notices.allSatisfy { $0.contains("biases") && $0.contains("k2v2") })
      await model.close()
    }
  }

  /// With distances within the budget, generated tokens go on behind what a model was trained for, as if it had been
  /// trained for more. Prompts do not, and nor does any other policy.
  @Test func repliesMayOutgrowTheModel() async throws {
    func load(
      _ trained: Int, _ policy: KVPolicy = .sinksTurned, budget: Int? = 48, context: Int = 300
    ) async throws -> LanguageModel {
      var tiny = TinyModel()
      tiny.context = trained
      let disk = tiny.write()
      var options = options(.cpu)
      (options.kvPolicy, options.kvBudget, options.contextLength) = (policy, budget, context)
      return try await LanguageModel.load(disk.path, options: options)
    }
    let (short, long) = (try await load(64), try await load(512))
    #expect((short.contextLength, short.promptLimit) == (300, 64))
    #expect((long.contextLength, long.promptLimit) == (300, 300))
    var texts: [String] = []
    for model in [short, long] {
      let (text, summary) = try await reply(model, "HELLO") { $0.limit = 400 }
      #expect(summary.finish == .contextFull(300), "\(summary.finish)")
      texts.append(text)
    }
    #expect(texts[0] == texts[1])
    let prompt = String(repeating: "HELLO", count: 13)
    let error = await #expect(throws: ApusError.self) { _ = try await self.reply(short, prompt) }
    #expect(error?.kind == .request && error?.description.contains("trained for 64") == true)
    #expect(try await reply(short, String(prompt.dropLast())).summary.promptTokens == 64)
    #expect(try await reply(long, prompt).summary.promptTokens == 65)
    let tooLong = await #expect(throws: ApusError.self) {
      _ = try await self.reply(short, String(repeating: "A", count: 301))
    }
    #expect(tooLong?.description.contains("trained for 64") == true)
    await short.close()
    await long.close()
    for (policy, budget, context) in [
      (.full, nil, 65), (.sinks, 48, 65), (.sinksTurned, 80, 300),
    ] as [(KVPolicy, Int?, Int)] {
      let error = await #expect(throws: ApusError.self) {
        _ = try await load(64, policy, budget: budget, context: context)
      }
      #expect(error?.description.contains("sinks-turned") == true)
    }
  }

  @Test func everyDeviceWritesTheSameText() async throws {
    let disk = TinyModel().write()
    var texts: [String] = []
    for device in [.reference] + SmolLM2.devices {
      let model = try await LanguageModel.load(disk.path, options: options(device, fallback: false))
      #expect(model.device.name == "\(device)" && model.notices.isEmpty)
      let answer = try await reply(model, "HELLO")
      #expect(answer.summary.finish == .limit && answer.summary.tokens == 12)
      #expect(answer.summary.promptTokens == 5)
      texts.append(answer.text)
      await model.close()
    }
    #expect(texts[0].count >= 12)
    for text in texts { #expect(text == texts[0]) }
    #expect(apus_cl_live_total() == 0)
  }

  @Test func theSameSeedGivesTheSameText() async throws {
    let disk = TinyModel().write()
    let model = try await LanguageModel.load(disk.path, options: options(.cpu))
    func text(_ seed: UInt64) async throws -> String {
      try await reply(model, "SEED") { ($0.temperature, $0.seed) = (2, seed) }.text
    }
    let (first, second, other) = (try await text(1), try await text(1), try await text(2))
    #expect(first == second && first != other)
    await model.close()
  }

  @Test func stopTextsEndTheReplyBeforeThem() async throws {
    let disk = TinyModel().write()
    let model = try await LanguageModel.load(disk.path, options: options(.cpu))
    let whole = try await reply(model, "HELLO").text
    let stop = String(whole.dropFirst(4).prefix(3))
    let cut = try await reply(model, "HELLO") { $0.stops = [stop] }
    #expect(whole.hasPrefix(cut.text + stop) && cut.summary.finish == .stop(stop))
    await model.close()
  }

  @Test func aFullContextIsSaid() async throws {
    let disk = TinyModel().write()
    var options = options(.cpu)
    options.contextLength = 16
    let model = try await LanguageModel.load(disk.path, options: options)
    let answer = try await reply(model, "0123456789") { $0.limit = 100 }
    #expect(answer.summary.finish == .contextFull(16))
    await #expect(throws: ApusError.self) {
      try await reply(model, String(repeating: "X", count: 17))
    }
    await #expect(throws: ApusError.self) { try await reply(model, "") }
    await model.close()
  }

  @Test func anAbsentDeviceMeansTheNextInOneLine() async throws {
    let disk = TinyModel().write()
    let model = try await LanguageModel.load(disk.path, options: options(.opencl(99)))
    #expect(model.device.name == "cpu" && model.notices.count == 1)
    #expect(model.notices.first?.hasSuffix("using cpu") == true)
    #expect(model.placementReport().allSatisfy { $0.device == "cpu" })
    await model.close()
    let error = await #expect(throws: ApusError.self) {
      try await LanguageModel.load(disk.path, options: options(.opencl(99), fallback: false))
    }
    #expect(error?.kind == .device)
  }

  /// Whatever allocation, build or launch fails, there is an error or another device, and nothing
  /// stays on the device. A model has hundreds of calls, of which this takes the first and then ever
  /// fewer; `SlowFaultTests` takes all.
  @Test(.enabled(if: SmolLM2.hasOpenCL, "no OpenCL device"), arguments: [false, true])
  func faultsOfADriverAreSurvived(fallback: Bool) async throws {
    let disk = TinyModel().write()
    for kind in [APUS_CL_ALLOCATION, APUS_CL_BUILD, APUS_CL_ENQUEUE] {
      var failures = 0
      var number = 1
      while try await survives(kind, number, disk.path, fallback: fallback) {
        failures += 1
        number += max(1, number / 2)
      }
      #expect(failures > 3)
    }
  }

  /// Whether there was such a call, whose failure is an error, another device or another kernel.
  fileprivate func survives(
    _ kind: apus_cl_fault, _ number: Int, _ path: String, fallback: Bool
  ) async throws -> Bool {
    apus_cl_inject(kind, number, -5)
    defer { apus_cl_inject_nothing() }
    do {
      var options = options(.opencl(0), fallback: fallback)
      // All that is built and tested at a first start.
      options.usesDiskCache = false
      let model = try await LanguageModel.load(path, options: options)
      do {
        _ = try await reply(model, "AB") { $0.limit = 2 }
      } catch let error as ApusError {
        #expect(error.kind == .device)
      }
      await model.close()
    } catch let error as ApusError {
      #expect(error.kind == .device && !fallback)
    }
    #expect(apus_cl_live_total() == 0, "\(kind) fault \(number)")
    return apus_cl_calls_before_fault(kind) == 0
  }

  @Test func badFilesAreErrorsWithSentences() async {
    let noFile = await #expect(throws: ApusError.self) {
      try await LanguageModel.load("/nonexistent.gguf")
    }
    #expect(noFile?.kind == .file)
    var parrot = TinyModel()
    parrot.metadata["general.architecture"] = .string("parrot")
    var wordless = TinyModel()
    wordless.metadata["tokenizer.ggml.tokens"] = .some(nil)
    var wordy = TinyModel()
    wordy.metadata["tokenizer.ggml.tokens"] = .strings((0..<100).map { "t\($0)" })
    for tiny in [parrot, wordless, wordy] {
      let disk = tiny.write()
      await #expect(throws: ApusError.self) { try await LanguageModel.load(disk.path) }
    }
  }

  @Test func sillyOptionsAreErrors() async throws {
    let disk = TinyModel().write()
    for context in [0, -5, 65] {
      var options = options(.cpu)
      options.contextLength = context
      await #expect(throws: ApusError.self) {
        try await LanguageModel.load(disk.path, options: options)
      }
    }
    let model = try await LanguageModel.load(disk.path, options: options(.cpu))
    await #expect(throws: ApusError.self) { try await reply(model, "A") { $0.topP = 7 } }
    await #expect(throws: ApusError.self) {
      for try await _ in model.generate(.chat(user: "hi", system: nil)) {}
    }
    await #expect(throws: ApusError.self) { try await model.perplexity(of: [65], window: 16) }
    await #expect(throws: ApusError.self) { try await model.perplexity(of: [65], window: 2) }
    await model.close()
  }

  /// Devices that the environment promises, by a word of their platform.
  @Test(.enabled(if: environment("APUS_REQUIRE_DEVICES") != nil, "APUS_REQUIRE_DEVICES is unset"))
  func promisedDevicesArePresent() {
    let found = DeviceInventory.list().devices.map { $0.driver.lowercased() }
    let platforms = ["pocl": "portable computing", "rusticl": "rusticl", "intel": "intel"]
    for name in (environment("APUS_REQUIRE_DEVICES") ?? "").split(separator: ",") {
      let platform = platforms[String(name)] ?? String(name)
      #expect(found.contains { $0.contains(platform) }, "\(name) among \(found)")
    }
  }
}

/// Slow: each of the hundreds of calls of a run fails once, and each run starts anew.
@Suite(.serialized) struct SlowFaultTests {
  @Test(
    .enabled(if: SmolLM2.hasOpenCL, "no OpenCL device"),
    arguments: [APUS_CL_ALLOCATION, APUS_CL_BUILD, APUS_CL_ENQUEUE])
  func everyFaultOfADriverIsSurvived(kind: apus_cl_fault) async throws {
    var tiny = TinyModel()
    tiny.layers = 1
    let disk = tiny.write()
    var number = 1
    while try await LanguageModelTests().survives(kind, number, disk.path, fallback: false) {
      number += 1
    }
    print("faults of kind \(kind.rawValue): all \(number - 1) survived")
    #expect(number > 5)
  }
}
