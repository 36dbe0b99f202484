import Devices
package import Profiling
import Runtime
import Sampling

/// Where the time of a generation went: launch by launch, on one clock.
public struct ProfileReport: Sendable {
  package let profile: Profile

  /// The two halves of a generation.
  public enum Phase: String, Sendable, CaseIterable {
    /// The tokens of the prompt, many at once.
    case prefill
    /// The tokens that follow, one after the other.
    case decode
  }

  /// What makes launches one row of a table.
  public enum Grouping: String, Sendable, CaseIterable {
    /// The same kernel on the same types.
    case kernel
    /// The same layer of the model.
    case layer
    /// The same operation of every layer: `attn_q`, `ffn_down`, …
    case op
  }

  /// A row of a table.
  public struct Row: Sendable {
    /// The kernel, layer or operation.
    public var name: String
    /// Operation and element type; empty for a layer.
    public var operation: String
    /// Launches.
    public var calls: Int
    /// All of them together.
    public var total: Duration
    /// Of all launches of the phase.
    public var share: Double
    /// The shortest and the longest.
    public var shortest: Duration
    /// The longest.
    public var longest: Duration
    /// Bytes that had to be read and written, each once.
    public var bytes: Int
    /// Multiplications and additions.
    public var flops: Int
    /// How near the device came to what it reaches at best, or nil where that is not known.
    public var rooflineShare: Double?
  }

  /// How a phase went as a whole.
  public struct Summary: Sendable {
    /// Tokens that were computed.
    public var tokens: Int
    /// Steps of the device.
    public var steps: Int
    /// Launches of all steps.
    public var launches: Int
    /// From its start to its end.
    public var time: Duration
    /// Tokens a second, with recording on.
    public var tokensPerSecond: Double?
    /// The share of the time in which a launch ran.
    public var coverage: Double
  }

  /// The model, its devices, and what those reach at best.
  public var title: String { profile.title }

  /// A phase in words, above its table.
  public func heading(_ phase: Phase) -> String { profile.heading(phase.kind) }

  /// A phase in numbers, or nil where there was none.
  public func summary(_ phase: Phase) -> Summary? {
    profile.summaries[phase.kind].map { summary in
      Summary(
        tokens: summary.tokens, steps: summary.steps,
        launches: profile.launches(phase.kind).count,
        time: .nanoseconds(summary.ended - summary.started), tokensPerSecond: summary.rate,
        coverage: profile.coverage(phase.kind))
    }
  }

  /// The table of a phase as text.
  public func table(_ phase: Phase, by grouping: Grouping) -> String {
    table(phase.kind, grouping).text
  }

  /// The rows of a phase's table.
  public func rows(_ phase: Phase, by grouping: Grouping) -> [Row] {
    table(phase.kind, grouping).rows.map { row in
      Row(
        name: row.name, operation: row.operation, calls: row.calls,
        total: .nanoseconds(row.total), share: row.share, shortest: .nanoseconds(row.shortest),
        longest: .nanoseconds(row.longest), bytes: row.bytes, flops: row.flops,
        rooflineShare: row.rooflineShare)
    }
  }

  /// The whole recording in the trace format of Chrome, which Perfetto opens too.
  public var trace: String { Trace(profile).text }

  /// The whole recording as one HTML page that needs nothing else: a roofline plot, the time of each
  /// layer, and the tables.
  public var html: String { Page(profile).text }

  private func table(_ phase: Profile.Phase, _ grouping: Grouping) -> ProfileTable {
    let kind: ProfileTable.Grouping =
      switch grouping {
      case .kernel: .kernel
      case .layer: .layer
      case .op: .op
      }
    return ProfileTable(profile.launches(phase), on: profile.devices, by: kind)
  }
}

extension ProfileReport.Phase {
  fileprivate var kind: Profile.Phase {
    switch self {
    case .prefill: .prefill
    case .decode: .decode
    }
  }
}

extension LanguageModel {
  /// Generates so many tokens from a prompt, the likeliest each time and whatever they are, and notes
  /// every launch. Kernels are built by a first, shorter round, or when the recording begins, and that is not noted.
  ///
  /// - Parameters:
  ///   - prompt: What to continue.
  ///   - tokens: How many to generate.
  ///   - isCancelled: Asked before every step.
  /// - Returns: Where the time went.
  /// - Throws: ``ApusError`` where the prompt does not fit or the device fails.
  public func profile(
    _ prompt: Prompt, tokens: Int, until isCancelled: @escaping @Sendable () -> Bool = { false }
  ) async throws(ApusError) -> ProfileReport {
    var sampling = SamplingParameters()
    sampling.temperature = 0
    let whole = GenerationRequest(
      prompt: try self.tokens(of: prompt), sampling: sampling, limit: tokens, endTokens: [])
    var short = whole
    short.limit = min(tokens, 3)
    let warmUp = short
    do throws(EngineError) {
      _ = try await engine.perform { loop throws(EngineError) in
        try loop.generate(warmUp, isCancelled: isCancelled, emit: { _ in true })
      }
    } catch { throw ApusError(error) }
    try await startRecording()
    let result: Result<Void, EngineError>
    do throws(EngineError) {
      _ = try await engine.perform { loop throws(EngineError) in
        try loop.generate(whole, isCancelled: isCancelled, emit: { _ in true })
      }
      result = .success(())
    } catch { result = .failure(error) }
    let report = try await stopRecording()
    do throws(EngineError) { try result.get() } catch { throw ApusError(error) }
    return report
  }

  /// Notes requests, steps and launches from now on.
  ///
  /// - Throws: ``ApusError`` where a device refuses.
  public func startRecording() async throws(ApusError) {
    do throws(EngineError) {
      try await engine.perform { loop throws(EngineError) in try loop.startRecording() }
    } catch { throw ApusError(error) }
  }

  /// Stops noting.
  ///
  /// - Parameter measuresDevices: Whether devices whose limits are not known are measured, which takes a
  ///   few seconds.
  /// - Returns: What was noted since ``startRecording()``.
  /// - Throws: ``ApusError`` where a device refuses, or has no room for being measured.
  public func stopRecording(
    measuresDevices: Bool = true
  ) async throws(ApusError) -> ProfileReport {
    let recording: Recording
    do throws(EngineError) {
      recording = try await engine.perform { loop throws(EngineError) in
        try loop.stopRecording()
      }
    } catch { throw ApusError(error) }
    return ProfileReport(
      profile: Profile(
        recording, model: name,
        devices: devices.map {
          Profile.OnDevice(
            traits: $0, roofline: measuresDevices ? DeviceInventory.roofline(of: $0) : nil)
        }))
  }
}

extension Profile {
  fileprivate init(_ recording: Recording, model: String, devices: [OnDevice]) {
    self.init(model: model, devices: devices, summaries: [:], spans: [], launches: [])
    stepsWithoutLaunches = recording.stepsWithoutLaunches
    for (index, request) in recording.requests.enumerated() {
      let name = "request \(index)"
      spans.append(
        Span(
          .requests, name, started: request.started, ended: request.ended,
          numbers: ["prompt_tokens": request.promptTokens, "tokens": request.tokens]))
      let turn = request.firstToken ?? request.ended
      spans.append(Span(.requests, "prefill", started: request.started, ended: turn))
      if turn < request.ended {
        spans.append(Span(.requests, "decode", started: turn, ended: request.ended))
      }
    }
    for (index, step) in recording.steps.enumerated() {
      let phase: Phase = step.isPrefill ? .prefill : .decode
      spans.append(
        Span(
          .steps, phase.rawValue, started: step.started, ended: step.ended,
          numbers: [
            "step": index, "request": step.request, "rows": step.rows, "outputs": step.outputs,
          ]))
      var reached = step.started
      for (name, ended) in step.phases {
        spans.append(Span(.host, name.rawValue, started: reached, ended: ended))
        reached = ended
      }
      for (device, records) in step.launches.enumerated() {
        for var record in records {
          record.sight = step.sight(of: record.instruction)
          launches.append(Launch(device: device, step: index, phase: phase, record: record))
        }
      }
    }
    // A recording may hold several requests; a table is about the last one.
    guard let request = recording.requests.last else { return }
    let turn = request.firstToken ?? request.ended
    let steps = recording.steps.filter { $0.request == recording.requests.count - 1 }
    let prefill = steps.filter(\.isPrefill)
    summaries[.prefill] = Summary(
      tokens: prefill.reduce(0) { $0 + $1.rows }, steps: prefill.count,
      started: request.started, ended: turn)
    if steps.count > prefill.count {
      summaries[.decode] = Summary(
        tokens: steps.count - prefill.count, steps: steps.count - prefill.count, started: turn,
        ended: request.ended)
    }
  }
}
