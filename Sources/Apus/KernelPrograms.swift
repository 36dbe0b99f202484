import Devices
import Runtime

/// A kernel's program as the compiler of a device gets it.
public struct KernelProgram: Sendable {
  /// The device that built it.
  public var device: String
  /// Its path without the ending: `gemm/linear_tiles`.
  public var name: String
  /// The kernel function.
  public var entry: String
  /// What the compiler reads, its defines first.
  public var source: String
  /// What the compiler is told beside that.
  public var options: String
  /// What the compiler said.
  public var log: String
}

extension LanguageModel {
  /// The programs that were built so far and whose path or entry has this text in it.
  ///
  /// - Parameter name: `linear_tiles`, `attend`, `gemm/`, …
  /// - Returns: At least one.
  /// - Throws: ``ApusError`` that lists what there is where nothing has such a name, or where a device
  ///   fails.
  public func programs(matching name: String) async throws(ApusError) -> [KernelProgram] {
    let result: (programs: [KernelProgram], names: Set<String>)
    do throws(EngineError) {
      result = try await engine.perform { loop throws(EngineError) in
        var programs: [KernelProgram] = []
        var names: Set<String> = []
        for device in loop.devices {
          do throws(DeviceError) {
            programs += try device.programs { program, entry in
              names.insert("\(program) (\(entry))")
              return program.contains(name) || entry.contains(name)
            }.map { text in
              KernelProgram(
                device: device.traits.name, name: text.program, entry: text.entry,
                source: text.source, options: text.options, log: text.log)
            }
          } catch { throw .device(error) }
        }
        return (programs, names)
      }
    } catch { throw ApusError(error) }
    guard result.programs.isEmpty else { return result.programs }
    let there =
      result.names.isEmpty
      ? "the devices of this run (\(devices.map(\.name).joined(separator: ", "))) build no programs"
      : "there are \(result.names.sorted().joined(separator: ", "))"
    throw ApusError(.request, "no kernel of this run is named '\(name)': \(there)")
  }
}
