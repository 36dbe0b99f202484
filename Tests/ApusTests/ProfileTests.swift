import Apus
import COpenCL
import Devices
import DiskCache
import Foundation
import Profiling
import TestSupport
import Testing

/// Profiles of whole runs, on every device.
@Suite(.serialized) struct ProfileTests {
  private func load(_ device: DeviceChoice, _ path: String) async throws -> LanguageModel {
    var options = LoadOptions()
    (options.device, options.allowsFallback, options.batch) = (device, false, 4)
    return try await LanguageModel.load(path, options: options)
  }

  @Test(arguments: [.reference] + SmolLM2.devices)
  func aProfileIsTheRun(_ device: DeviceChoice) async throws {
    do {
      let disk = TinyModel().write()
      let model = try await load(device, disk.path)
      let before = HostClock.now()
      let report = try await model.profile(.raw(Array("HELLO,YOU!".utf8)), tokens: 5)
      let after = HostClock.now()
      await model.close()
      let profile = report.profile

      // Three steps for ten tokens at four a step; then a step for each token but the first.
      let prefill = try #require(report.summary(.prefill))
      let decode = try #require(report.summary(.decode))
      #expect(prefill.tokens == 10 && prefill.steps == 3)
      #expect(decode.tokens == 4 && decode.steps == 4)
      // How many launches a step needs, kernels decide; the steps of a token need the same.
      #expect(decode.launches % 4 == 0 && decode.launches > 40 && prefill.launches > 30)
      #expect(prefill.launches + decode.launches == profile.launches.count)
      #expect(prefill.coverage > 0 && prefill.coverage <= 1)
      #expect(decode.coverage > 0 && decode.coverage <= 1)

      // Launches lie in their steps, on one clock. On OpenCL, steps that want no logits wait for nobody: theirs
      // end before the next that does.
      let slack: Int64 = 200_000
      let isQueued = if case .opencl = device { true } else { false }
      let steps = profile.spans.filter { $0.track == .steps }
      #expect(steps.count == 7)
      for launch in profile.launches {
        let times = launch.record.times
        let waiting = try #require(
          steps[launch.step...].first { !isQueued || $0.numbers["outputs"] != 0 },
          "the last step has an output")
        #expect(times.started >= steps[launch.step].started - slack)
        #expect(times.ended <= waiting.ended + slack)
        #expect(times.started <= times.ended)
        #expect(times.started > before - slack && times.ended < after + slack)
      }
      // What attention saw grows token by token.
      let seen = profile.launches(.decode)
        .filter { $0.record.sight.pairs > 0 && !$0.record.isSequel && $0.record.layer == 0 }.map(
          \.record.sight.pairs)
      #expect(seen == [11, 12, 13, 14])
      for grouping in ProfileReport.Grouping.allCases {
        for phase in ProfileReport.Phase.allCases {
          let rows = report.rows(phase, by: grouping)
          #expect(rows.reduce(0) { $0 + $1.calls } == report.summary(phase)?.launches)
          #expect(report.table(phase, by: grouping).split(separator: "\n").count == rows.count + 3)
        }
      }
      #expect(report.html.contains("</html>"))
      let json = try JSONSerialization.jsonObject(with: Data(report.trace.utf8))
      let events = try #require((json as? [String: Any])?["traceEvents"] as? [[String: Any]])
      let slices = events.filter { $0["ph"] as? String == "X" }
      #expect(slices.filter { $0["cat"] as? String == "launch" }.count == profile.launches.count)
      #expect(
        Set(slices.compactMap { $0["cat"] as? String }) == ["requests", "steps", "host", "launch"])
    }
    #expect(apus_cl_live_total() == 0)
  }

  /// What a token of SmolLM2 costs in launches where operations are fused: five a layer, and four around
  /// them. More is a mistake of planning, or a kernel that was left out.
  @Test(.enabled(if: SmolLM2.isPresent, SmolLM2.absence), arguments: SmolLM2.devices)
  func aTokenTakesFewLaunches(_ device: DeviceChoice) async throws {
    let model = try await load(device, SmolLM2.path)
    let fuses = model.device.driver.contains("Portable Computing Language")
    let report = try await model.profile(.raw(Array("Once upon".utf8)), tokens: 3)
    await model.close()
    let decode = try #require(report.summary(.decode))
    if fuses { #expect(decode.launches <= decode.steps * (30 * 5 + 4)) }
    #expect(decode.launches <= decode.steps * 700)
  }

  /// Recording may begin and end while a model is in use, and changes no answer.
  @Test(arguments: SmolLM2.devices)
  func recordingChangesNoAnswer(_ device: DeviceChoice) async throws {
    let disk = TinyModel().write()
    let model = try await load(device, disk.path)
    func reply() async throws -> String {
      var options = GenerationOptions()
      (options.temperature, options.limit) = (0, 8)
      var text = ""
      for try await event in model.generate(.raw(Array("HELLO".utf8)), options: options) {
        if case .text(let piece) = event { text += piece }
      }
      return text
    }
    let plain = try await reply()
    try await model.startRecording()
    #expect(try await reply() == plain)
    #expect(try await reply() == plain)
    let report = try await model.stopRecording(measuresDevices: false)
    #expect(try await reply() == plain)
    await model.close()
    #expect(report.profile.spans.filter { $0.name.hasPrefix("request ") }.count == 2)
    // A table is about the last request, a trace about all.
    #expect(report.summary(.decode)?.tokens == 7)
  }

  /// Under 2 % slower, as the median of interleaved runs says.
  @Test(.enabled(if: SmolLM2.isPresent, SmolLM2.absence), arguments: SmolLM2.devices)
  func recordingCostsLittleSlow(_ device: DeviceChoice) async throws {
    var options = LoadOptions()
    (options.device, options.allowsFallback) = (device, false)
    let model = try await LanguageModel.load(SmolLM2.path, options: options)
    func seconds() async throws -> Double {
      var options = GenerationOptions()
      (options.temperature, options.limit) = (0, 16)
      for try await event in model.generate(.raw(Array("Once upon a time".utf8)), options: options)
      {
        if case .finished(let summary) = event {
          return (summary.timeToFirstToken + summary.decodeTime) / .seconds(1)
        }
      }
      return 0
    }
    _ = try await seconds()
    var ratios: [Double] = []
    for round in 0..<75 {
      var plain = 0.0
      if round % 2 == 0 { plain = try await seconds() }
      try await model.startRecording()
      let recorded = try await seconds()
      _ = try await model.stopRecording(measuresDevices: false)
      if round % 2 == 1 { plain = try await seconds() }
      ratios.append(recorded / plain)
    }
    await model.close()
    let median = ratios.sorted()[ratios.count / 2]
    #expect(median < 1.02, "\(ratios.sorted())")
  }
}

/// Limits of devices that are kept in a folder: what was damaged is not there.
@Suite struct RooflineStoreTests {
  private let traits = DeviceTraits(
    kind: .cpu, name: "cpu", hardware: "paper", driver: "none", largestAllocation: 1, alignment: 1,
    readsMappedWeights: false, units: 2)
  private let roofline = Roofline(bandwidth: 40.5e9, floatRate: 2.5e11, integerRate: 1e12)

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "apus-roofline-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder + "/a/b")
  }

  private func store(_ folder: String) throws -> RooflineStore {
    RooflineStore(try DiskCache.open(folder).get())
  }

  private func file(_ folder: String) throws -> String {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(files.count == 1)
    return "\(folder)/\(try #require(files.first))"
  }

  @Test func whatIsKeptComesBackToItsDeviceOnly() throws {
    try withFolder { folder in
      let store = try store(folder)
      #expect(store[traits] == nil)
      #expect(store.keep(roofline, for: traits))
      #expect(store[traits] == roofline)
      var other = traits
      other.units = 1
      #expect(store[other] == nil)
      other = traits
      other.driver = "another"
      #expect(store[other] == nil)
      let mode = try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions]
      #expect(mode as? Int == 0o700)
    }
  }

  @Test func whatWasDamagedIsNotThere() throws {
    try withFolder { folder in
      let store = try store(folder)
      #expect(store.keep(roofline, for: traits))
      let path = try file(folder)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      for length in [0, 1, bytes.count / 2, bytes.count - 1] {
        try bytes.prefix(length).write(to: URL(fileURLWithPath: path))
        #expect(store[traits] == nil, "cut to \(length)")
      }
      for place in bytes.indices {
        var damaged = bytes
        damaged[place] ^= 1
        try damaged.write(to: URL(fileURLWithPath: path))
        #expect(store[traits] == nil, "byte \(place)")
      }
      try (bytes + Data("more\n".utf8)).write(to: URL(fileURLWithPath: path))
      #expect(store[traits] == nil)
      // It is measured and written again.
      #expect(store.keep(roofline, for: traits) && store[traits] == roofline)
    }
  }

  @Test func withoutACacheNothingIsKept() {
    let store = RooflineStore(nil)
    #expect(!store.keep(roofline, for: traits) && store[traits] == nil)
  }
}
