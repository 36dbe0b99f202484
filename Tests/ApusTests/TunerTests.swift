import Apus
import Devices
import OpenCLBackend
import Testing

/// A device of which all is known: what each way costs, and which are wrong.
private final class FakeBench: TuningBench {
  var now = 0.0
  /// Seconds that a launch takes.
  var cost: (Tuning.Choice) -> [Double] = { _ in [1] }
  var wrong: (Tuning.Choice) -> String? = { _ in nil }
  var refuses: (Tuning.Choice) -> Bool = { _ in false }
  var checked: [Tuning.Choice] = []
  var timed: Set<Tuning.Choice> = []
  private var turn = 0

  func failure(of choice: Tuning.Choice) -> String? {
    checked.append(choice)
    now += 0.1
    return wrong(choice)
  }

  func time(_ choice: Tuning.Choice) throws(DeviceError) -> [Double] {
    if refuses(choice) {
      throw DeviceError(device: "fake", call: "build", status: "no", detail: "too many registers")
    }
    timed.insert(choice)
    now += 0.01
    turn += 1
    // A machine that is busy now and then, and drifts.
    let drift = 1 + 0.1 * Double(turn % 7) / 7 + (turn % 11 == 0 ? 4 : 0)
    return cost(choice).map { $0 * drift }
  }
}

/// The search for the fastest kernel, on a clock that the tests hold.
@Suite struct TunerTests {
  private let variants = [
    OpenCLDevice.Variant(
      name: "usual",
      tunables: [
        Tunable(name: "TILES", values: [1, 2], standard: 2),
        Tunable(name: "TOKENS", values: [2, 4, 8], standard: 4),
      ]),
    OpenCLDevice.Variant(
      name: "other", tunables: [Tunable(name: "TOKENS", values: [4, 6], standard: 4)]),
  ]

  private func value(_ name: String, _ choice: Tuning.Choice) -> Int? {
    choice.settings.first { $0.name == name }?.value
  }

  private func search(
    _ bench: FakeBench, deadline: Double = .infinity
  ) throws -> Tuner.Finding {
    var tuner = Tuner()
    tuner.deadline = deadline
    return try #require(try tuner.search("an operation", .many, among: variants, on: bench))
  }

  @Test func findsTheFastest() throws {
    let bench = FakeBench()
    bench.cost = { choice in
      if choice.variant == "other" { return [1.2, 1.1] }
      let tiles = self.value("TILES", choice) == 1 ? 0.8 : 1
      let tokens = self.value("TOKENS", choice) == 8 ? 0.7 : 1
      return [tiles * tokens, tiles * tokens]
    }
    let found = try search(bench)
    #expect(found.best.variant == "usual")
    #expect(found.best.settings.map(\.description) == ["TILES=1", "TOKENS=8"])
    #expect(abs(found.gain - 1 / 0.56) < 0.3)
    #expect(found.isComplete && found.refused.isEmpty && found.measured == 4)
  }

  @Test func anotherVariantAndItsParameters() throws {
    let bench = FakeBench()
    bench.cost = { choice in
      choice.variant == "other" ? [self.value("TOKENS", choice) == 6 ? 0.4 : 0.5] : [1]
    }
    let found = try search(bench)
    #expect(found.best.variant == "other" && value("TOKENS", found.best) == 6)
    #expect(found.gain > 2)
  }

  /// Nobody measures what is wrong, however fast it would be.
  @Test func whatIsWrongIsDroppedBeforeItIsTimed() throws {
    let bench = FakeBench()
    bench.wrong = { self.value("TOKENS", $0) == 8 ? "bytes differ" : nil }
    bench.refuses = { self.value("TILES", $0) == 1 }
    bench.cost = { self.value("TOKENS", $0) == 8 ? [0.01] : [1] }
    let found = try search(bench)
    #expect(found.best.settings.isEmpty && found.gain == 1)
    #expect(!bench.timed.contains { value("TOKENS", $0) == 8 })
    #expect(found.refused.count == 2)
    #expect(found.refused.contains { $0.reason == "bytes differ" })
    #expect(found.refused.contains { $0.reason.contains("too many registers") })
  }

  /// A gain within what times vary by is none, and neither is one that makes a case slower.
  @Test func smallOrPartialGainsAreNone() throws {
    let bench = FakeBench()
    bench.cost = { choice in
      if self.value("TILES", choice) == 1 { return [0.985, 0.985] }
      if self.value("TOKENS", choice) == 8 { return [0.5, 1.2] }
      return [1, 1]
    }
    let found = try search(bench)
    #expect(found.best.settings.isEmpty && found.best.variant == "usual")
    #expect(found.gain == 1 && found.seconds.best == found.seconds.standard)
  }

  @Test func theBudgetEndsIt() throws {
    let bench = FakeBench()
    bench.cost = { self.value("TOKENS", $0) == 8 ? [0.5] : [1] }
    let found = try search(bench, deadline: 0.2)
    #expect(!found.isComplete)
    #expect(bench.checked.count < 4)
    // A comparison that has begun is finished.
    #expect(bench.now < 2)
    #expect(try search(FakeBench(), deadline: 0).measured == 0)
  }

  @Test func nothingToChooseIsNothingFound() throws {
    let bench = FakeBench()
    #expect(try Tuner().search("an operation", .one, among: [], on: bench) == nil)
    #expect(bench.checked.isEmpty)
  }
}
