package import Devices
import ModelGraph
import ReferenceBackend
import Tensors

extension OpCase {
  /// Runs the case on `device` and compares with the reference.
  ///
  /// Every buffer is longer than its operand on both sides and filled with NaN there, so that a
  /// read beyond the operand spoils the result and a write beyond it is seen.
  package func check(on device: any Device) -> Verdict {
    if case .declined(let reason) = device.support(operation, input: format) {
      return .declined(reason: reason)
    }
    do throws(DeviceError) {
      let expected = try run(on: ReferenceDevice())
      let actual = try run(on: device)
      var worst = Verdict.passed(error: 0)
      let shapes =
        [(output.width, output.format)] + (written.map { [(1, inputs[$0].format)] } ?? [])
      for (index, (width, format)) in shapes.enumerated() {
        let verdict = compare(actual[index], with: expected[index], width: width, format: format)
        guard case .passed(let error) = verdict else { return verdict }
        if case .passed(let before) = worst { worst = .passed(error: max(before, error)) }
      }
      return worst
    } catch {
      return .failed(error)
    }
  }

  /// The bytes of the output with its guards, and of the input that is written to.
  private func run(on device: any Device) throws(DeviceError) -> [GuardedBytes] {
    var next = 0
    defer { for index in 0..<next { device.release(BufferID(index: index)) } }
    let pad = max(device.traits.alignment, 256)

    func place(_ bytes: [UInt8], capacity: Int, label: String) throws(DeviceError) -> Region {
      let id = BufferID(index: next)
      try device.allocate(id, bytes: capacity + 2 * pad, label: label)
      next += 1
      let poison = [UInt8](repeating: 0xFF, count: capacity + 2 * pad)
      try write(poison, to: Region(buffer: id), on: device)
      try write(bytes, to: Region(buffer: id, offset: pad), on: device)
      return Region(buffer: id, offset: pad)
    }

    var operands: [Operand] = []
    for (index, input) in inputs.enumerated() {
      let region = try place(input.bytes, capacity: input.bytes.count, label: "input \(index)")
      operands.append(
        Operand(region: region, rows: input.rows, width: input.width, format: input.format))
    }
    var weights: [Region] = []
    for (index, parameter) in parameters.enumerated() {
      guard let weight = parameter.weight else {
        weights.append(
          try place(parameter.bytes, capacity: parameter.bytes.count, label: "constant \(index)"))
        continue
      }
      let region = try place([], capacity: device.residentBytes(weight), label: weight.name)
      var failure: DeviceError?
      parameter.bytes.withUnsafeBytes { bytes in
        do throws(DeviceError) {
          try device.load(weight, bytes, to: region)
        } catch { failure = error }
      }
      if let failure { throw failure }
      weights.append(region)
    }
    // Writing into a page pool leaves the rest of it as it was: NaN, like the guards.
    let region = try place([], capacity: outputBytes, label: "output")
    let result = Operand(
      region: region, rows: output.rows, width: output.width, format: output.format)
    var between: [Int: Operand] = [:]
    func operand(_ at: Place) throws(DeviceError) -> Operand {
      switch at {
      case .input(let index): return operands[index]
      case .output: return result
      case .between(let number, let shape):
        if let known = between[number] { return known }
        let bytes = sizes[shape.rows] * shape.format.rowBytes(shape.width)
        let made = Operand(
          region: try place([], capacity: bytes, label: "between"), rows: shape.rows,
          width: shape.width, format: shape.format)
        between[number] = made
        return made
      }
    }
    func instruction(_ part: Part) throws(DeviceError) -> Instruction {
      var inputs: [Operand] = []
      for input in part.inputs { inputs.append(try operand(input)) }
      var expansion: [Instruction] = []
      for part in part.parts { expansion.append(try instruction(part)) }
      return Instruction(
        part.operation, inputs: inputs, weights: part.parameters.map { weights[$0] },
        output: try operand(part.output), label: "case", expansion: expansion)
    }
    let whole = Part(
      operation: operation, inputs: inputs.indices.map { .input($0) },
      parameters: parts.isEmpty ? Array(weights.indices) : [], output: .output, parts: parts)
    var instruction = try instruction(whole)
    // What scratch memory holds before means nothing: here it is NaN.
    let scratch = instruction.workspaceBytes(on: device, bounds: sizes)
    if scratch > 0 {
      instruction.lend(try place([], capacity: scratch, label: "workspace"))
    }
    try device.run([instruction], sizes: sizes)
    if let workspace = instruction.workspace {
      let bytes = try guarded(workspace, capacity: scratch, pad: pad, on: device)
      if let place = bytes.firstBrokenGuard {
        throw DeviceError(
          device: device.traits.name, call: "run", status: "broken guard",
          detail: "wrote \(place.replacing("output", with: "workspace"))")
      }
    }
    var results = [try guarded(region, capacity: outputBytes, pad: pad, on: device)]
    if let written {
      results.append(
        try guarded(
          operands[written].region, capacity: inputs[written].bytes.count, pad: pad, on: device))
    }
    return results
  }

  private func compare(
    _ actual: GuardedBytes, with expected: GuardedBytes, width: Int, format: Format
  ) -> Verdict {
    if let place = actual.firstBrokenGuard {
      return .wrong(reason: "wrote \(place)", error: .infinity)
    }
    if tolerance == 0 {
      return actual.content.elementsEqual(expected.content)
        ? .passed(error: 0) : .wrong(reason: "bytes differ from the reference's", error: .infinity)
    }
    let got = format.numbers(actual.content, width: width)
    let wanted = format.numbers(expected.content, width: width)
    var difference = 0.0
    var power = 0.0
    for (index, (a, b)) in zip(got, wanted).enumerated() where a != b {
      guard a.isFinite, b.isFinite else {
        return .wrong(
          reason: "element \(index) is \(a) where the reference has \(b)", error: .infinity)
      }
      difference += Double(a - b) * Double(a - b)
    }
    for b in wanted where b.isFinite { power += Double(b) * Double(b) }
    let error = difference == 0 ? 0 : difference / max(power, .leastNormalMagnitude)
    return error <= tolerance
      ? .passed(error: error) : .wrong(reason: "differs from the reference", error: error)
  }
}

private func write(
  _ bytes: [UInt8], to region: Region, on device: any Device
) throws(DeviceError) {
  if bytes.isEmpty { return }
  var failure: DeviceError?
  bytes.withUnsafeBytes { buffer in
    do throws(DeviceError) {
      try device.write(buffer, to: region)
    } catch { failure = error }
  }
  if let failure { throw failure }
}

/// The content of a region with the guards around it.
private func guarded(
  _ region: Region, capacity: Int, pad: Int, on device: any Device
) throws(DeviceError) -> GuardedBytes {
  var bytes = [UInt8](repeating: 0, count: capacity + 2 * pad)
  var failure: DeviceError?
  bytes.withUnsafeMutableBytes { buffer in
    do throws(DeviceError) {
      try device.read(Region(buffer: region.buffer), into: buffer)
    } catch { failure = error }
  }
  if let failure { throw failure }
  return GuardedBytes(bytes: bytes, pad: pad)
}

/// An output with the poisoned bytes around it.
private struct GuardedBytes {
  let bytes: [UInt8]
  let pad: Int

  var content: ArraySlice<UInt8> { bytes[pad..<(bytes.count - pad)] }

  /// Where a guard was overwritten, in words.
  var firstBrokenGuard: String? {
    if let index = bytes[..<pad].lastIndex(where: { $0 != 0xFF }) {
      return "\(pad - index) bytes before its output"
    }
    if let index = bytes[(bytes.count - pad)...].firstIndex(where: { $0 != 0xFF }) {
      return "\(index - (bytes.count - pad) + 1) bytes beyond its output"
    }
    return nil
  }
}
