module ecommerce-lambda/k8s-tests/support

go 1.26.0

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/kubeflow/spark-operator/v2 v2.5.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
