import Apus
import GGUF
import TestSupport
import Testing

/// Models without a file, and what is timed of them.
@Suite(.serialized) struct BenchmarkTests {
  private func options(_ device: DeviceChoice, context: Int = 64) -> LoadOptions {
    var options = LoadOptions()
    options.device = device
    options.contextLength = context
    options.allowsFallback = false
    return options
  }

  /// Every architecture among the shapes and types of both block lengths, where they fit.
  @Test func namesAreShapesAndTypes() throws(ApusError) {
    #expect(try "\(RandomModelShape("llama-7b-q4_0"))" == "llama-7b-q4_0")
    #expect(try "\(RandomModelShape("SmolLM2-135M-Q4_1"))" == "smollm2-135m-q4_1")
    for name in ["", "llama-7b", "llama-7b-", "llama-7b-q4_9", "nobody-q4_0", "-q4_0"] {
      let error = #expect(throws: ApusError.self) { try RandomModelShape(name) }
      #expect(error?.description.contains("smollm2-135m, ") == true)
      #expect(error?.description.contains("q4_0, q4_1") == true)
    }
  }

  /// The numbers of parameters that the makers of these models give.
  @Test func shapesHaveTheSizesOfTheirModels() {
    let sizes = [
      ("smollm2-135m", 134_515_008), ("smollm2-360m", 361_821_120), ("llama-1b", 1_235_814_400),
      ("llama-7b", 6_738_415_616), ("llama-8b", 8_030_261_248), ("llama-13b", 13_015_864_320),
      ("mistral-7b", 7_241_732_096), ("qwen2-0.5b", 494_032_768), ("qwen2-1.5b", 1_543_714_304),
      ("qwen2-7b", 7_615_616_512), ("qwen3-0.6b", 596_049_920), ("qwen3-8b", 8_190_735_360),
      ("llama-3b", 3_212_749_824),
    ]
    for (shape, parameters) in sizes {
      #expect(RandomModelShape.size(of: shape, type: "q4_0")?.parameters == parameters, "\(shape)")
    }
    #expect(Set(sizes.map(\.0)).union(["tiny"]) == Set(RandomModelShape.shapes))
    #expect(RandomModelShape.size(of: "tiny", type: "q4_k") == nil)
  }

  /// On OpenCL, in one launch a token where a device has that and in launches: with a process that never sleeps on all
  /// CPUs but one, a second thread must not hold up the first.
  @Test(
    .enabled(if: SmolLM2.hasOpenCL, "there is no OpenCL device"),
    arguments: [PersistentKernel.auto, .off])
  func aBusyNeighbourHoldsUpLittleSlow(_ kernel: PersistentKernel) async throws {
    let neighbours = Neighbours(count: max(1, HostProcessor.current.usableCPUs - 1))
    defer { neighbours.leave() }
    func benchmark(threads: Int) async throws -> Benchmark {
      var options = options(.opencl(0))
      (options.threads, options.persistentKernel) = (threads, kernel)
      return try await .random(RandomModelShape("smollm2-135m-q4_1"), options: options)
    }
    func seconds(_ benchmark: Benchmark) async throws -> Double {
      try await benchmark.time(BenchmarkTest(generated: 24), repetitions: 1).nanoseconds[0] * 1e-9
    }
    let (one, two) = (try await benchmark(threads: 1), try await benchmark(threads: 2))
    // In turn, so that what the machine does meanwhile concerns both.
    var (alone, together) = ([Double](), [Double]())
    for _ in 0..<7 {
      alone.append(try await seconds(one))
      together.append(try await seconds(two))
    }
    let ratio = alone.sorted()[3] / together.sorted()[3]
    #expect(ratio > 0.7, "two threads do \(ratio) of what one does")
    await one.close()
    await two.close()
  }

  @Test func rowsThatATypeCannotHoldAreRefused() async throws {
    let error = await #expect(throws: ApusError.self) {
      try await Benchmark.random(RandomModelShape("smollm2-135m-q4_k"), options: options(.cpu))
    }
    #expect(error?.description.contains("rows of 576 are no whole blocks of Q4_K") == true)
  }

  @Test(arguments: [DeviceChoice.cpu, .reference, .opencl(0)])
  func aRandomModelRunsWithoutAFile(device: DeviceChoice) async throws {
    if case .opencl = device, DeviceInventory.list().reason != nil { return }
    for type in ["q4_0", "q8_0", "f16"] {
      let benchmark = try await Benchmark.random(
        RandomModelShape("tiny-\(type)"), options: options(device))
      #expect(benchmark.device.name == "\(device)" && benchmark.parameterCount == 90_432)
      #expect(benchmark.elementType == type.uppercased())
      let result = try await benchmark.time(
        BenchmarkTest(prompt: 17, generated: 3, depth: 20), repetitions: 2)
      #expect(result.durations.count == 2 && result.tokensPerSecond.allSatisfy { $0 > 0 })
      #expect("\(result.test)" == "pp17+tg3 @ d20")
      // Weights lie on the device once: nothing is mapped, and staging is one part of one weight.
      let memory = await benchmark.memory()
      #expect(memory.mapped == 0 && memory.staging <= 2 * benchmark.weightBytes)
      #expect(memory.buffers >= benchmark.weightBytes)
      await benchmark.close()
    }
  }

  @Test func aTestMustFit() async throws {
    let benchmark = try await Benchmark.random(
      RandomModelShape("tiny-q4_0"), options: options(.cpu))
    for test in [
      BenchmarkTest(), BenchmarkTest(depth: 5), BenchmarkTest(prompt: -1, generated: 2),
      BenchmarkTest(prompt: 60, depth: 5), BenchmarkTest(generated: 65),
    ] {
      let error = await #expect(throws: ApusError.self) {
        try await benchmark.time(test, repetitions: 1)
      }
      #expect(error?.kind == .request)
    }
    // Pages are back after an error, so the whole context can be used.
    let whole = try await benchmark.time(BenchmarkTest(generated: 64), repetitions: 1)
    #expect(whole.durations.count == 1)
    let stopped = try await benchmark.time(
      BenchmarkTest(generated: 8), repetitions: 3, until: { true })
    #expect(stopped.durations.isEmpty)
    await benchmark.close()
  }

  /// A file needs no vocabulary to be timed, and is timed as it would be read for an answer.
  @Test func aFileIsTimed() async throws {
    let disk = TinyModel().write()
    let benchmark = try await Benchmark.load(disk.path, options: options(.cpu))
    let result = try await benchmark.time(BenchmarkTest(prompt: 5), repetitions: 1, warmsUp: false)
    #expect(result.durations.count == 1)
    let more = try #require(benchmark.bytesRead(byTokenAt: 10))
    let less = try #require(benchmark.bytesRead(byTokenAt: 0))
    #expect(more > less)
    await benchmark.close()
  }
}
