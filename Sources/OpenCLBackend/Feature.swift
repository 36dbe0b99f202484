import COpenCL

/// What a row of the kernel table needs beyond plain OpenCL C 1.2. A row without needs serves every
/// device; one with a need is preferred where the need is met and the self-test passes.
package enum Feature: String, Sendable, Hashable, CaseIterable {
  /// Inline assembly for AVX-512 VNNI: the driver compiles for the host's processor and passes
  /// assembly on.
  case vnni
  /// Private memory that is cheap, and a compiler that keeps vectors of 16 in registers: the host's
  /// processor, unless llvmpipe plays a GPU on it.
  case tiles
}

extension OpenCLDevices.Description {
  /// What this device and its driver offer. A feature that is here may still fail the self-test.
  package var features: Set<Feature> {
    var features: Set<Feature> = []
    if compilesAVX512 && apus_host_has_vnni() { features.insert(.vnni) }
    if isCPU && platform != "rusticl" && platform != "Oclgrind" { features.insert(.tiles) }
    return features
  }

  /// Whether this is PoCL on the host's processor, compiling for one that has AVX-512. PoCL names a
  /// device `<driver>-<LLVM's name of the processor>-<model>`; asked for 512-bit registers on a
  /// lesser target, it ends the process.
  private var compilesAVX512: Bool {
    guard platform == "Portable Computing Language", isCPU else { return false }
    let parts = name.split(separator: "-", maxSplits: 1)
    guard parts.count == 2, ["pthread", "cpu", "basic"].contains(parts[0]) else { return false }
    let targets = [
      "skylake-avx512", "cascadelake", "cooperlake", "cannonlake", "icelake", "tigerlake",
      "rocketlake", "sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5",
      "x86-64-v4",
    ]
    return targets.contains { parts[1].hasPrefix($0) }
  }
}
