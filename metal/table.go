package metal

import "github.com/go-openelm/go-openelm/internal/objc"

// Everything of Apple's API this package touches is declared in this file: classes, selectors with their types, enum
// constants. A test compares each with facts extracted from Apple's own headers.

// class indexes api.classes.
type class int

const (
	classNSString class = iota
	classNSDictionary
	classNSURL
	classCompileOptions
	classFunctionConstantValues
	classComputePipelineDescriptor
	classCaptureManager
	classCaptureDescriptor
	classResidencySetDescriptor
	numClasses
)

// classNames: a class the running OS lacks is nil, which is an error only for the call that needs it.
var classNames = [numClasses]string{
	classNSString:                  "NSString",
	classNSDictionary:              "NSDictionary",
	classNSURL:                     "NSURL",
	classCompileOptions:            "MTLCompileOptions",
	classFunctionConstantValues:    "MTLFunctionConstantValues",
	classComputePipelineDescriptor: "MTLComputePipelineDescriptor",
	classCaptureManager:            "MTLCaptureManager",
	classCaptureDescriptor:         "MTLCaptureDescriptor",
	classResidencySetDescriptor:    "MTLResidencySetDescriptor",
}

// selector indexes api.sels.
type selector int

const (
	selRetain selector = iota
	selRelease

	selArrayCount
	selArrayObjectAtIndex
	selDictionaryWithObjects
	selFileURLWithPath

	selDeviceName
	selDeviceRegistryID
	selDeviceSupportsFamily
	selDeviceUnifiedMemory
	selDeviceWorkingSet
	selDeviceThreadgroupMemory
	selDeviceMaxBufferLength
	selDeviceAllocatedSize
	selDeviceLowPower
	selDeviceHeadless
	selDeviceRemovable
	selDeviceNewLibrary
	selDeviceNewPipeline
	selDeviceNewBuffer
	selDeviceNewBufferNoCopy
	selDeviceNewQueue
	selDeviceNewResidencySet

	selOptionsLanguageVersion
	selOptionsFastMath
	selOptionsMathMode
	selOptionsMacros

	selConstantAtIndex
	selConstantWithName

	selLibrarySetLabel
	selLibraryFunctionNames
	selLibraryNewFunction

	selPipelineDescSetFunction
	selPipelineDescSetLabel
	selPipelineDescSetMaxThreads
	selPipelineDescSetMultiple
	selPipelineMaxThreads
	selPipelineExecutionWidth
	selPipelineStaticMemory

	selBufferContents
	selBufferGPUAddress
	selResourceSetLabel
	selResourceAllocatedSize

	selQueueSetLabel
	selQueueCommandBuffer
	selQueueAddResidencySet
	selQueueRemoveResidencySet

	selCommandSetLabel
	selCommandEncoder
	selCommandCommit
	selCommandAddCompletedHandler
	selCommandStatus
	selCommandError
	selCommandGPUStart
	selCommandGPUEnd
	selCommandUseResidencySet

	selEncoderSetLabel
	selEncoderEnd
	selEncoderPushDebugGroup
	selEncoderPopDebugGroup
	selEncoderSetPipeline
	selEncoderSetBuffer
	selEncoderSetBytes
	selEncoderSetThreadgroupMemory
	selEncoderDispatchThreadgroups
	selEncoderDispatchThreads
	selEncoderBarrierScope
	selEncoderBarrierResources

	selCaptureShared
	selCaptureSupports
	selCaptureIsCapturing
	selCaptureStart
	selCaptureStop
	selCaptureDescSetObject
	selCaptureDescSetDestination
	selCaptureDescSetURL

	selSetDescLabel
	selSetDescCapacity
	selSetAdd
	selSetRemove
	selSetRemoveAll
	selSetCommit
	selSetRequest
	selSetEnd
	selSetAllocatedSize
	selSetCount
	numSelectors
)

const appleDocs = "https://developer.apple.com/documentation/"

// methods declares the selectors, with the classes as metal-cpp names them: NSReferencing is NSObject's memory half.
var methods = [numSelectors]objc.Method{
	selRetain:  {Class: "NSReferencing", Name: "retain", Types: "@"},
	selRelease: {Class: "NSReferencing", Name: "release", Types: "v"},

	selArrayCount:            {Class: "NSArray", Name: "count", Types: "Q"},
	selArrayObjectAtIndex:    {Class: "NSArray", Name: "objectAtIndex:", Types: "@Q"},
	selDictionaryWithObjects: {Class: "NSDictionary", Static: true, Name: "dictionaryWithObjects:forKeys:count:", Types: "@^^Q"},
	selFileURLWithPath:       {Class: "NSURL", Static: true, Name: "fileURLWithPath:", Types: "@@"},

	selDeviceName:              {Class: "MTLDevice", Name: "name", Types: "@"},
	selDeviceRegistryID:        {Class: "MTLDevice", Name: "registryID", Types: "Q"},
	selDeviceSupportsFamily:    {Class: "MTLDevice", Name: "supportsFamily:", Types: "Bq"},
	selDeviceUnifiedMemory:     {Class: "MTLDevice", Name: "hasUnifiedMemory", Types: "B"},
	selDeviceWorkingSet:        {Class: "MTLDevice", Name: "recommendedMaxWorkingSetSize", Types: "Q"},
	selDeviceThreadgroupMemory: {Class: "MTLDevice", Name: "maxThreadgroupMemoryLength", Types: "Q"},
	selDeviceMaxBufferLength:   {Class: "MTLDevice", Name: "maxBufferLength", Types: "Q"},
	selDeviceAllocatedSize:     {Class: "MTLDevice", Name: "currentAllocatedSize", Types: "Q"},
	selDeviceLowPower:          {Class: "MTLDevice", Name: "isLowPower", Types: "B"},
	selDeviceHeadless:          {Class: "MTLDevice", Name: "isHeadless", Types: "B"},
	selDeviceRemovable:         {Class: "MTLDevice", Name: "isRemovable", Types: "B"},
	selDeviceNewLibrary:        {Class: "MTLDevice", Name: "newLibraryWithSource:options:error:", Types: "@@@^"},
	selDeviceNewPipeline:       {Class: "MTLDevice", Name: "newComputePipelineStateWithDescriptor:options:reflection:error:", Types: "@@Q^^"},
	selDeviceNewBuffer:         {Class: "MTLDevice", Name: "newBufferWithLength:options:", Types: "@QQ"},
	selDeviceNewBufferNoCopy:   {Class: "MTLDevice", Name: "newBufferWithBytesNoCopy:length:options:deallocator:", Types: "@^QQ?"},
	selDeviceNewQueue:          {Class: "MTLDevice", Name: "newCommandQueue", Types: "@"},
	selDeviceNewResidencySet:   {Class: "MTLDevice", Name: "newResidencySetWithDescriptor:error:", Types: "@@^", Since: "15.0", Source: appleDocs + "metal/mtldevice/makeresidencyset(descriptor:)"},

	selOptionsLanguageVersion: {Class: "MTLCompileOptions", Name: "setLanguageVersion:", Types: "vQ"},
	selOptionsFastMath:        {Class: "MTLCompileOptions", Name: "setFastMathEnabled:", Types: "vB"},
	selOptionsMathMode:        {Class: "MTLCompileOptions", Name: "setMathMode:", Types: "vq", Since: "15.0", Source: appleDocs + "metal/mtlcompileoptions/mathmode"},
	selOptionsMacros:          {Class: "MTLCompileOptions", Name: "setPreprocessorMacros:", Types: "v@"},

	selConstantAtIndex:  {Class: "MTLFunctionConstantValues", Name: "setConstantValue:type:atIndex:", Types: "v^QQ"},
	selConstantWithName: {Class: "MTLFunctionConstantValues", Name: "setConstantValue:type:withName:", Types: "v^Q@"},

	selLibrarySetLabel:      {Class: "MTLLibrary", Name: "setLabel:", Types: "v@"},
	selLibraryFunctionNames: {Class: "MTLLibrary", Name: "functionNames", Types: "@"},
	selLibraryNewFunction:   {Class: "MTLLibrary", Name: "newFunctionWithName:constantValues:error:", Types: "@@@^"},

	selPipelineDescSetFunction:   {Class: "MTLComputePipelineDescriptor", Name: "setComputeFunction:", Types: "v@"},
	selPipelineDescSetLabel:      {Class: "MTLComputePipelineDescriptor", Name: "setLabel:", Types: "v@"},
	selPipelineDescSetMaxThreads: {Class: "MTLComputePipelineDescriptor", Name: "setMaxTotalThreadsPerThreadgroup:", Types: "vQ"},
	selPipelineDescSetMultiple:   {Class: "MTLComputePipelineDescriptor", Name: "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", Types: "vB"},
	selPipelineMaxThreads:        {Class: "MTLComputePipelineState", Name: "maxTotalThreadsPerThreadgroup", Types: "Q"},
	selPipelineExecutionWidth:    {Class: "MTLComputePipelineState", Name: "threadExecutionWidth", Types: "Q"},
	selPipelineStaticMemory:      {Class: "MTLComputePipelineState", Name: "staticThreadgroupMemoryLength", Types: "Q"},

	selBufferContents:        {Class: "MTLBuffer", Name: "contents", Types: "^"},
	selBufferGPUAddress:      {Class: "MTLBuffer", Name: "gpuAddress", Types: "Q", Since: "13.0"},
	selResourceSetLabel:      {Class: "MTLResource", Name: "setLabel:", Types: "v@"},
	selResourceAllocatedSize: {Class: "MTLResource", Name: "allocatedSize", Types: "Q"},

	selQueueSetLabel:           {Class: "MTLCommandQueue", Name: "setLabel:", Types: "v@"},
	selQueueCommandBuffer:      {Class: "MTLCommandQueue", Name: "commandBufferWithUnretainedReferences", Types: "@"},
	selQueueAddResidencySet:    {Class: "MTLCommandQueue", Name: "addResidencySet:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlcommandqueue/addresidencyset(_:)"},
	selQueueRemoveResidencySet: {Class: "MTLCommandQueue", Name: "removeResidencySet:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlcommandqueue/removeresidencyset(_:)"},

	selCommandSetLabel:            {Class: "MTLCommandBuffer", Name: "setLabel:", Types: "v@"},
	selCommandEncoder:             {Class: "MTLCommandBuffer", Name: "computeCommandEncoderWithDispatchType:", Types: "@Q"},
	selCommandCommit:              {Class: "MTLCommandBuffer", Name: "commit", Types: "v"},
	selCommandAddCompletedHandler: {Class: "MTLCommandBuffer", Name: "addCompletedHandler:", Types: "v?"},
	selCommandStatus:              {Class: "MTLCommandBuffer", Name: "status", Types: "Q"},
	selCommandError:               {Class: "MTLCommandBuffer", Name: "error", Types: "@"},
	selCommandGPUStart:            {Class: "MTLCommandBuffer", Name: "GPUStartTime", Types: "d"},
	selCommandGPUEnd:              {Class: "MTLCommandBuffer", Name: "GPUEndTime", Types: "d"},
	selCommandUseResidencySet:     {Class: "MTLCommandBuffer", Name: "useResidencySet:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlcommandbuffer/useresidencyset(_:)"},

	selEncoderSetLabel:             {Class: "MTLCommandEncoder", Name: "setLabel:", Types: "v@"},
	selEncoderEnd:                  {Class: "MTLCommandEncoder", Name: "endEncoding", Types: "v"},
	selEncoderPushDebugGroup:       {Class: "MTLCommandEncoder", Name: "pushDebugGroup:", Types: "v@"},
	selEncoderPopDebugGroup:        {Class: "MTLCommandEncoder", Name: "popDebugGroup", Types: "v"},
	selEncoderSetPipeline:          {Class: "MTLComputeCommandEncoder", Name: "setComputePipelineState:", Types: "v@"},
	selEncoderSetBuffer:            {Class: "MTLComputeCommandEncoder", Name: "setBuffer:offset:atIndex:", Types: "v@QQ"},
	selEncoderSetBytes:             {Class: "MTLComputeCommandEncoder", Name: "setBytes:length:atIndex:", Types: "v^QQ"},
	selEncoderSetThreadgroupMemory: {Class: "MTLComputeCommandEncoder", Name: "setThreadgroupMemoryLength:atIndex:", Types: "vQQ"},
	selEncoderDispatchThreadgroups: {Class: "MTLComputeCommandEncoder", Name: "dispatchThreadgroups:threadsPerThreadgroup:", Types: "vSS"},
	selEncoderDispatchThreads:      {Class: "MTLComputeCommandEncoder", Name: "dispatchThreads:threadsPerThreadgroup:", Types: "vSS"},
	selEncoderBarrierScope:         {Class: "MTLComputeCommandEncoder", Name: "memoryBarrierWithScope:", Types: "vQ"},
	selEncoderBarrierResources:     {Class: "MTLComputeCommandEncoder", Name: "memoryBarrierWithResources:count:", Types: "v^Q"},

	selCaptureShared:             {Class: "MTLCaptureManager", Static: true, Name: "sharedCaptureManager", Types: "@"},
	selCaptureSupports:           {Class: "MTLCaptureManager", Name: "supportsDestination:", Types: "Bq"},
	selCaptureIsCapturing:        {Class: "MTLCaptureManager", Name: "isCapturing", Types: "B"},
	selCaptureStart:              {Class: "MTLCaptureManager", Name: "startCaptureWithDescriptor:error:", Types: "B@^"},
	selCaptureStop:               {Class: "MTLCaptureManager", Name: "stopCapture", Types: "v"},
	selCaptureDescSetObject:      {Class: "MTLCaptureDescriptor", Name: "setCaptureObject:", Types: "v@"},
	selCaptureDescSetDestination: {Class: "MTLCaptureDescriptor", Name: "setDestination:", Types: "vq"},
	selCaptureDescSetURL:         {Class: "MTLCaptureDescriptor", Name: "setOutputURL:", Types: "v@"},

	selSetDescLabel:     {Class: "MTLResidencySetDescriptor", Name: "setLabel:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlresidencysetdescriptor/label"},
	selSetDescCapacity:  {Class: "MTLResidencySetDescriptor", Name: "setInitialCapacity:", Types: "vQ", Since: "15.0", Source: appleDocs + "metal/mtlresidencysetdescriptor/initialcapacity"},
	selSetAdd:           {Class: "MTLResidencySet", Name: "addAllocation:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/addallocation(_:)"},
	selSetRemove:        {Class: "MTLResidencySet", Name: "removeAllocation:", Types: "v@", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/removeallocation(_:)"},
	selSetRemoveAll:     {Class: "MTLResidencySet", Name: "removeAllAllocations", Types: "v", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/removeallallocations()"},
	selSetCommit:        {Class: "MTLResidencySet", Name: "commit", Types: "v", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/commit()"},
	selSetRequest:       {Class: "MTLResidencySet", Name: "requestResidency", Types: "v", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/requestresidency()"},
	selSetEnd:           {Class: "MTLResidencySet", Name: "endResidency", Types: "v", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/endresidency()"},
	selSetAllocatedSize: {Class: "MTLResidencySet", Name: "allocatedSize", Types: "Q", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/allocatedsize"},
	selSetCount:         {Class: "MTLResidencySet", Name: "allocationCount", Types: "Q", Since: "15.0", Source: appleDocs + "metal/mtlresidencyset/allocationcount"},
}
