import Apus
import COpenCL
import Tensors
import TestSupport
import Testing

/// What a plan says of memory, held against what loading allocates; and refusals.
@Suite(.serialized) struct MemoryTests {
  /// Wide enough that its weights outweigh what goes with them.
  private var tiny: TinyModel {
    var tiny = TinyModel()
    (tiny.width, tiny.feedForward, tiny.layers) = (256, 512, 3)
    return tiny
  }

  private func options(
    _ device: DeviceChoice, context: Int = 64, mode: LoadMode = .mmap
  ) -> LoadOptions {
    var options = LoadOptions()
    (options.device, options.contextLength, options.mode) = (device, context, mode)
    options.allowsFallback = false
    return options
  }

  /// What a self-test takes before is not in it: this model needs less than one.
  @Test(arguments: LoadMode.allCases)
  func theLedgerOfASmallModelIsItsOwn(mode: LoadMode) async throws {
    let disk = TinyModel().write()
    for device in SmolLM2.devices {
      var options = options(device, context: 16, mode: mode)
      options.persistentKernel = .off
      let choice = try #require(MemoryPlan(path: disk.path, options: options).choices.first)
      let check = try await MemoryPlan.check(path: disk.path, options: options)
      #expect(choice.allocated == check.usage.allocated, "\(device)")
      // A step that is one launch keeps its phases beside what is planned, and meters for each worker.
      options.persistentKernel = .auto
      let whole = try await MemoryPlan.check(path: disk.path, options: options)
      let more = whole.usage.allocated - choice.allocated
      let most = (32 + 8 * Int(apus_cl_host_processors())) << 10
      #expect(more >= 0 && more < most, "\(device): \(more)")
    }
  }

  @Test(arguments: LoadMode.allCases)
  func plansForetellWhatIsAllocated(mode: LoadMode) async throws {
    let disk = tiny.write()
    for device in [.reference] + SmolLM2.devices {
      for context in [16, 33, 64] {
        let options = options(device, context: context, mode: mode)
        let plan = try MemoryPlan(path: disk.path, options: options)
        let choice = try #require(plan.choices.first)
        #expect(plan.choices.count == 1 && choice.shortage == nil && plan.problems.isEmpty)
        let check = try await MemoryPlan.check(path: disk.path, options: options)
        let ratio = Double(choice.allocated) / Double(check.usage.allocated)
        #expect(abs(ratio - 1) < 0.05, "\(device) -c \(context): \(ratio)")
        #expect(check.usage.mapped == choice.devices.reduce(0) { $0 + $1.mapped })
        // One copy of the weights, in the file or in a buffer, and not both.
        let copies = choice.devices.reduce(0) { $0 + $1.mapped + $1.weights }
        #expect(copies >= plan.weightBytes && copies < plan.weightBytes * 11 / 10)
      }
    }
    #expect(apus_cl_live_total() == 0)
  }

  #if os(Linux)
    /// Mapped is what is read there, and nothing else once the model is loaded.
    @Test func onlyDevicesThatReadTheFileKeepItMapped() async throws {
      let disk = tiny.write()
      func isMapped() throws -> Bool {
        let maps = try #require(Fixtures.systemText("/proc/self/maps"))
        #expect(maps.contains("[stack]"), "it was read to its end")
        return maps.contains(disk.path)
      }
      for device in SmolLM2.devices {
        for mode in LoadMode.allCases {
          let model = try await LanguageModel.load(disk.path, options: options(device, mode: mode))
          let isKept = device == .cpu && mode == .mmap
          // The engine's thread may let the file go a moment after it has answered.
          for _ in 0..<100 where try isMapped() != isKept {
            try await Task.sleep(for: .milliseconds(20))
          }
          #expect(try isMapped() == isKept, "\(device) \(mode)")
          await model.close()
        }
      }
      #expect(try !isMapped())
    }
  #endif

  @Test func theCacheGrowsByTheSameForEachToken() throws {
    let disk = tiny.write()
    let plans = try [16, 64].map {
      try MemoryPlan(path: disk.path, options: options(.cpu, context: $0))
    }
    let caches = try plans.map { try #require($0.choices.first?.devices.first?.cache) }
    #expect(caches[1] - caches[0] == 48 * plans[0].cacheBytesPerToken)
    #expect(caches[0] == 16 * plans[0].cacheBytesPerToken)
  }

  /// The type of keys and values decides over the cache, whatever the arithmetic.
  @Test func theCacheTakesWhatItsTypeTakes() throws {
    let disk = tiny.write()
    func caches(_ activations: Activations) throws -> [Int] {
      try [nil, KVType.f16, .f32].map { type in
        var options = options(.cpu, context: 64)
        (options.kvType, options.activations) = (type, activations)
        return try #require(
          MemoryPlan(path: disk.path, options: options).choices.first?.devices.first?.cache)
      }
    }
    let (int8, float) = (try caches(.int8), try caches(.f32))
    #expect(int8[0] == int8[1] && int8[2] == 2 * int8[1])
    #expect(float == [int8[2], int8[1], int8[2]])
  }

  /// Codes take 34 and 18 bytes where halves take 64, 18 and 10 of keys and values 14, 12 and 10 of them 11, and those of few bits a window of halves beside, which is as long as
  /// this context; heads that are no whole blocks are refused.
  @Test func codesTakeTheirShare() throws {
    var wide = tiny
    (wide.width, wide.context) = (128, 128)
    let disk = wide.write()
    func plan(_ path: String, _ type: KVType) throws -> MemoryPlan {
      var options = options(.cpu, context: 64)
      options.kvType = type
      return try MemoryPlan(path: path, options: options)
    }
    let types = [KVType.f16, .q8, .q4, .bf16, .k4v2, .k2v2, .i16]
    let plans = try types.map { try plan(disk.path, $0) }
    let caches = try plans.map { try #require($0.choices.first?.devices.first?.cache) }
    #expect(caches[1] * 64 == caches[0] * 34 && caches[2] * 64 == caches[0] * (18 + 64))
    #expect(caches[3] == caches[0] && caches[4] * 64 == caches[0] * (14 + 64))
    #expect(caches[5] * 64 == caches[0] * (11 + 64))
    // A scale of four bytes a token's key of 32 halves.
    #expect(caches[6] * 64 == caches[0] * 68)
    var turned = options(.cpu, context: 64)
    (turned.kvType, turned.kvRotated) = (.k2v2, true)
    #expect(throws: ApusError.self) { try MemoryPlan(path: disk.path, options: turned) }
    #expect(plans[2].cacheBytesPerToken * 64 == caches[2] - caches[0])
    // A context of two windows, of which a step takes one.
    var longer = options(.cpu, context: 128)
    (longer.kvType, longer.batch) = (.q4, 100)
    #expect(try MemoryPlan(path: disk.path, options: longer).batch == 64)
    longer.kvType = .q8
    #expect(try MemoryPlan(path: disk.path, options: longer).batch == 100)
    var narrow = tiny
    narrow.width = 64
    let other = narrow.write()
    #expect(throws: ApusError.self) { try plan(other.path, .q4) }
    #expect(try !plan(other.path, .f16).choices.isEmpty)
  }

  @Test func whatAllDevicesDeclineIsSaidOnce() async throws {
    let disk = TemporaryFile(RandomModel(flavour: .gemma3, type: .q8_0).encoded())
    var options = LoadOptions()
    options.kvType = .k2v2
    let error = await #expect(throws: ApusError.self) {
      _ = try await LanguageModel.load(disk.path, options: options)
    }
    let reason = "look back over a window"
    #expect(error?.description.split(separator: reason).count == 2, "\(error?.description ?? "")")
  }

  @Test func bothModesAndAllBatchesWriteTheSameText() async throws {
    let disk = tiny.write()
    var texts: Set<String> = []
    for device in SmolLM2.devices {
      for mode in LoadMode.allCases {
        for batch in [1, 7, 256] {
          var options = self.options(device, mode: mode)
          options.batch = batch
          let model = try await LanguageModel.load(disk.path, options: options)
          var generation = GenerationOptions()
          (generation.temperature, generation.limit) = (0, 12)
          var text = ""
          for try await event in model.generate(
            .raw(Array("HELLO WORLD".utf8)), options: generation)
          {
            if case .text(let piece) = event { text += piece }
          }
          texts.insert(text)
          await model.close()
        }
      }
    }
    #expect(texts.count == 1 && texts.first?.isEmpty == false)
  }

  @Test func aLimitRefusesAndSaysWhatWouldFit() async throws {
    let disk = tiny.write()
    for device in SmolLM2.devices {
      let need = try #require(
        try MemoryPlan(path: disk.path, options: self.options(device)).choices.first?.peak)
      var options = self.options(device)
      options.memoryLimit = ByteCount(need)
      await (try LanguageModel.load(disk.path, options: options)).close()

      options.memoryLimit = ByteCount(need - 1)
      let error = await #expect(throws: ApusError.self) {
        try await LanguageModel.load(disk.path, options: options)
      }
      let sentence = error?.description ?? ""
      #expect(sentence.contains("\(device) needs") && sentence.contains("--mem-limit"))
      // What it names does fit, and one page more would not.
      let match = try #require(sentence.firstMatch(of: /-c (\d+)/))
      let advised = try #require(Int(match.1))
      options.contextLength = advised
      await (try LanguageModel.load(disk.path, options: options)).close()
      options.contextLength = advised + 16
      #expect(
        try advised + 16 > 64
          || MemoryPlan(path: disk.path, options: options).choices.first?.shortage != nil)

      options.memoryLimit = ByteCount(1000)
      let hopeless = await #expect(throws: ApusError.self) {
        try await LanguageModel.load(disk.path, options: options)
      }
      #expect(hopeless?.description.contains("smaller model") == true)
    }
  }

  /// An order to fail the next allocation is still there after a refusal.
  @Test(.enabled(if: SmolLM2.hasOpenCL, "no OpenCL device"))
  func aRefusalAllocatesNothing() async throws {
    let disk = tiny.write()
    apus_cl_inject(APUS_CL_ALLOCATION, 1, -5)
    defer { apus_cl_inject_nothing() }
    var options = self.options(.opencl(0))
    options.memoryLimit = ByteCount(1000)
    await #expect(throws: ApusError.self) {
      try await LanguageModel.load(disk.path, options: options)
    }
    _ = try MemoryPlan(path: disk.path, options: options)
    options.memoryLimit = nil
    let error = await #expect(throws: ApusError.self) {
      try await LanguageModel.load(disk.path, options: options)
    }
    #expect(error?.description.contains("clCreateBuffer") == true)
  }

  @Test func whatTheDeviceHasNoRoomForTheNextTakes() async throws {
    let disk = tiny.write()
    guard SmolLM2.hasOpenCL else { return }
    let plans = try SmolLM2.devices.map {
      try #require(try MemoryPlan(path: disk.path, options: self.options($0)).choices.first?.peak)
    }
    // On the CPU there is no second copy of a part while loading.
    #expect(plans[0] < plans[1])
    var options = self.options(.opencl(0))
    options.allowsFallback = true
    options.memoryLimit = ByteCount(plans[0])
    let model = try await LanguageModel.load(disk.path, options: options)
    #expect(model.device.name == "cpu" && model.notices.count == 1)
    #expect(model.notices.first?.contains("opencl:0 needs") == true)
    await model.close()
  }

  @Test func sizesAreReadAsPeopleWriteThem() throws {
    let sizes = [
      "12GiB": 12 << 30, "800MB": 800_000_000, "1": 1, "1.5 kib": 1536, "2TB": 2_000_000_000_000,
      "10kB": 10_000, "7b": 7,
    ]
    for (text, value) in sizes { #expect(try ByteCount(text).value == value) }
    for text in [
      "", "GiB", "-1", "0", "12G", "1e3", "1.2.3", "9999999TiB", "nan", "inf", "12 GiB x",
    ] {
      let error = #expect(throws: ApusError.self) { try ByteCount(text) }
      #expect(error?.description.contains("such as 12GiB") == true)
    }
    #expect("\(ByteCount(1023))" == "1023 B" && "\(ByteCount(1536))" == "1.5 KiB")
    #expect("\(ByteCount(12 << 30))" == "12.0 GiB" && "\(ByteCount(.max))" == "8388608.0 TiB")
  }

  @Test func theSystemsFiguresAreRead() {
    let text = "MemTotal:       24000 kB\nMemAvailable:\t  2048 kB\nfile 77\n"
    #expect(SystemMemory.number("MemAvailable:", in: text) == 2048)
    #expect(SystemMemory.number("file ", in: text) == 77)
    #expect(SystemMemory.number("RssAnon:", in: text) == nil)
    #if os(Linux)
      #expect((SystemMemory.available ?? 0) > 0)
      #expect((SystemMemory.footprint?.anonymous ?? 0) > 0)
    #endif
  }

  /// A group is bounded by those around it, whatever its own limit says.
  @Test func theTightestControlGroupCounts() throws {
    let mount = TemporaryFolder()
    func write(_ folder: String, _ files: [String: String]) throws {
      for (name, text) in files { try mount.write("\(folder)/\(name)", text) }
    }
    try write("", ["memory.stat": "file 1\n"])
    try write("a", ["memory.max": "900\n", "memory.current": "500\n"])
    try write(
      "a/b",
      [
        "memory.max": "1000\n", "memory.current": "300\n",
        "memory.stat": "anon 7\nfile 60\nshmem 10\n",
      ])
    try write("a/b/c", ["memory.max": "max\n", "memory.current": "300\n"])
    func room(_ membership: String) -> Int? {
      SystemMemory.room(inControlGroups: membership, mount: mount.path)
    }
    #expect(room("0::/a/b/c\n") == 400)
    #expect(room("0::/a/b\n1:name=systemd:/x\n") == 400)
    try write("a", ["memory.max": "max\n"])
    #expect(room("0::/a/b/c\n") == 750)
    #expect(room("0::/\n") == nil && room("0::/gone\n") == nil && room("") == nil)
    #expect(room("0::/../../a/b\n") == 750)
    // What is used may be more than a limit that was lowered.
    try write("a/b/c", ["memory.max": "100"])
    #expect(room("0::/a/b/c\n") == 0)

    let unlimited = "9223372036854771712\n"
    try write("memory", ["memory.limit_in_bytes": unlimited, "memory.usage_in_bytes": "10\n"])
    try write("memory/d", ["memory.limit_in_bytes": "80\n", "memory.usage_in_bytes": "30\n"])
    try write(
      "memory/d/e",
      [
        "memory.limit_in_bytes": unlimited, "memory.usage_in_bytes": "5\n",
        "memory.stat": "total_cache 3\n",
      ])
    #expect(room("4:cpu,cpuacct:/a/b\n7:memory:/d/e\n") == 50)
    #expect(room("7:memory:/\n0::/a/b\n") == 750)
  }

  @Test func sillySizesAreErrors() async throws {
    let disk = tiny.write()
    for batch in [0, -1, 1 << 40] {
      var options = self.options(.cpu)
      options.batch = batch
      await #expect(throws: ApusError.self) {
        try await LanguageModel.load(disk.path, options: options)
      }
    }
    // A file may claim any length of context; what nobody has is refused, not tried.
    var endless = tiny
    endless.context = Int(Int32.max)
    let long = endless.write()
    let error = await #expect(throws: ApusError.self) {
      try await LanguageModel.load(long.path, options: options(.cpu, context: Int(Int32.max)))
    }
    #expect(
      error.map { "\($0)".contains("this machine has") } == true, "\(String(describing: error))")
  }
}
