// swift-tools-version: 6.3
// The only description of the Swift and C build. Every target is a room of the house;
// Sources/Apus/Apus.docc/Architecture.md walks through them in the order in which data flows.

import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]
let cSettings: [CSetting] = [.treatAllWarnings(as: .error)]

func room(_ name: String, _ rooms: String..., products: [Target.Dependency] = []) -> Target {
  .target(
    name: name, dependencies: rooms.map { .byName(name: $0) } + products,
    path: "Sources/\(name)", swiftSettings: swiftSettings)
}

func interop(
  _ name: String, _ rooms: String..., path: String? = nil, sources: [String]? = nil
) -> Target {
  .target(
    name: name, dependencies: rooms.map { .byName(name: $0) }, path: path ?? "Sources/\(name)",
    sources: sources, publicHeadersPath: "include", cSettings: cSettings)
}

func tests(_ name: String, _ rooms: String...) -> Target {
  .testTarget(
    name: name, dependencies: rooms.map { .byName(name: $0) }, path: "Tests/\(name)",
    swiftSettings: swiftSettings)
}

let package = Package(
  name: "apus",
  products: [
    .executable(name: "apus", targets: ["CLI"]),
    .library(name: "Apus", targets: ["Apus"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // Interop: C that Swift cannot be.
    interop("COpenCL"),
    interop("COpenBLAS"),
    interop("WeightTiles"),
    interop("CPUKernels", "WeightTiles"),
    interop("Kernels", path: "Kernels", sources: ["programs.c", "tuned.c"]),

    // From a file to a graph.
    room("Tensors"),
    room("GGUF", "Tensors"),
    room("Tokenization"),
    room("ModelGraph", "Tensors"),
    room("Models", "ModelGraph", "GGUF", "Tensors"),

    // What is made again where it is lost: built programs, verdicts.
    room("DiskCache"),

    // The contract and the three backends behind it.
    room("Devices", "ModelGraph", "Tensors"),
    room("ReferenceBackend", "Devices", "ModelGraph", "Tensors"),
    room(
      "CPUBackend", "CPUKernels", "WeightTiles", "COpenBLAS", "Devices", "ModelGraph", "Tensors"),
    room(
      "OpenCLBackend", "COpenCL", "Kernels", "DiskCache", "WeightTiles", "Devices", "ModelGraph",
      "Tensors"),
    room("OpSuite", "Devices", "ReferenceBackend", "ModelGraph", "Tensors"),

    // From a graph to tokens.
    room("Planning", "ModelGraph", "Devices", "Tensors"),
    room("Profiling", "Devices", "ModelGraph", "Tensors"),
    room("Residency"),
    room("Scheduling", "Residency"),
    room("Sampling"),
    room("Evaluation"),
    room(
      "Runtime", "Planning", "Devices", "Residency", "Scheduling", "Sampling", "ModelGraph",
      "Tensors"),

    // What users touch.
    room(
      "Apus", "Runtime", "Models", "GGUF", "Tokenization", "OpSuite", "ReferenceBackend",
      "CPUBackend", "OpenCLBackend", "DiskCache", "Planning", "Profiling", "Scheduling",
      "Residency",
      "Sampling", "Evaluation", "Devices", "ModelGraph", "Tensors"),
    .executableTarget(
      name: "CLI",
      dependencies: [
        "Apus", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/CLI", swiftSettings: swiftSettings),

    // Tests: one target a room, then the arrows, the devices and the whole.
    .target(
      name: "TestSupport", dependencies: ["GGUF", "OpSuite", "Tensors"], path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    interop("AllocationCounter", path: "Tests/AllocationCounter"),
    .target(
      name: "FuzzTargets",
      dependencies: ["Apus", "Models", "ModelGraph", "GGUF", "Tensors", "Tokenization"],
      path: "Tests/FuzzTargets", swiftSettings: swiftSettings),
    .executableTarget(
      name: "FuzzGGUF", dependencies: ["FuzzTargets"], path: "Tests/FuzzGGUF",
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "FuzzTemplate", dependencies: ["FuzzTargets"], path: "Tests/FuzzTemplate",
      swiftSettings: swiftSettings),
    tests("ArrowTests"),
    tests("TensorsTests", "Tensors", "TestSupport"),
    tests("GGUFTests", "GGUF", "Tensors", "TestSupport"),
    tests("TokenizationTests", "Tokenization", "GGUF", "DiskCache", "TestSupport"),
    tests("DiskCacheTests", "DiskCache", "TestSupport"),
    tests("ModelGraphTests", "ModelGraph", "Tensors"),
    tests("ModelsTests", "Models", "ModelGraph", "GGUF", "Tensors", "TestSupport"),
    tests(
      "PlanningTests", "Planning", "Devices", "ReferenceBackend", "ModelGraph", "Tensors"),
    tests("ProfilingTests", "Profiling", "Devices", "ModelGraph", "Tensors", "TestSupport"),
    tests("ResidencyTests", "Residency"),
    tests("SchedulingTests", "Scheduling", "Residency"),
    tests("SamplingTests", "Sampling", "TestSupport"),
    tests("EvaluationTests", "Evaluation"),
    tests(
      "RuntimeTests", "Runtime", "ReferenceBackend", "Models", "Planning", "Devices", "GGUF",
      "Scheduling", "Sampling", "Residency", "ModelGraph", "Tensors", "TestSupport"),
    tests(
      "ArchitectureTests", "AllocationCounter", "Runtime", "ReferenceBackend", "CPUBackend",
      "OpenCLBackend", "COpenCL", "Models", "Planning", "Devices", "DiskCache", "GGUF",
      "ModelGraph", "Residency", "Sampling", "Scheduling", "Tensors", "TestSupport"),
    tests("KernelsTests", "Kernels", "OpenCLBackend", "COpenCL"),
    tests(
      "BackendTests", "OpSuite", "ReferenceBackend", "CPUBackend", "OpenCLBackend", "COpenCL",
      "CPUKernels", "WeightTiles", "DiskCache", "Devices", "ModelGraph", "Tensors",
      "TestSupport"),
    tests("CLITests", "CLI", "Apus"),
    tests(
      "ApusTests", "Apus", "COpenCL", "Devices", "DiskCache", "OpenCLBackend", "OpSuite",
      "Profiling", "Runtime", "Sampling",
      "Tokenization",
      "GGUF", "Tensors",
      "Models", "ModelGraph", "FuzzTargets", "TestSupport"),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu2x
)
